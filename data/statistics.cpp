// Two passes, so that the variance does not cancel.
#include "data/statistics.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ddpm {
namespace {

template <class T>
void summarise(const std::vector<T>& values, int64_t channels, SplitStatistics& s) {
  s.mean.assign(static_cast<size_t>(channels), 0.0);
  s.std = s.mean;
  if (values.empty()) return;
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  s.min = *min;
  s.max = *max;
  const auto c = static_cast<size_t>(channels);
  const double n = static_cast<double>(values.size() / c);
  for (size_t i = 0; i < values.size(); i += c)
    for (size_t j = 0; j < c; ++j) s.mean[j] += values[i + j];
  for (double& v : s.mean) v /= n;
  for (size_t i = 0; i < values.size(); i += c)
    for (size_t j = 0; j < c; ++j) {
      const double r = values[i + j] - s.mean[j];
      s.std[j] += r * r;
    }
  for (double& v : s.std) v = std::sqrt(v / n);
}

nlohmann::json describe_split(const Dataset& dataset, const Split& split) {
  const SplitStatistics s = statistics(dataset, split);
  return {{"count", split.count},
          {"min", s.min},
          {"max", s.max},
          {"mean", s.mean},
          {"std", s.std},
          {"class_counts", s.class_counts},
          {"data_sha256", split.data_sha256},
          {"labels_sha256", split.labels_sha256}};
}

std::string split_text(const Dataset& dataset, const char* name, const Split& split) {
  if (split.count == 0) return fmt::format("{:<9} none\n", name);
  const SplitStatistics s = statistics(dataset, split);
  std::string text = fmt::format(
      "{:<9} {} images, {:g} to {:g}, mean {:.4f}, std {:.4f}\n          data   sha256 {}\n", name,
      split.count, s.min, s.max, fmt::join(s.mean, " "), fmt::join(s.std, " "), split.data_sha256);
  if (!split.labels.empty())
    text += fmt::format("          labels sha256 {}\n          per class {}\n", split.labels_sha256,
                        fmt::join(s.class_counts, " "));
  return text;
}

}  // namespace

SplitStatistics statistics(const Dataset& dataset, const Split& split) {
  SplitStatistics s;
  const int64_t channels = dataset.image_shape[2];
  if (split.values.empty())
    summarise(split.pixels, channels, s);
  else
    summarise(split.values, channels, s);
  if (!split.labels.empty()) s.class_counts.resize(dataset.class_names.size());
  for (int32_t label : split.labels) ++s.class_counts.at(static_cast<size_t>(label));
  return s;
}

nlohmann::json describe(const Dataset& dataset) {
  const Shape& shape = dataset.image_shape;
  return {{"name", dataset.name},
          {"shape", {shape[0], shape[1], shape[2]}},
          {"levels", dataset.levels},
          {"flip", dataset.flip},
          {"classes", dataset.class_names},
          {"source", dataset.source},
          {"licence", dataset.licence},
          {"note", dataset.note},
          {"train", describe_split(dataset, dataset.train)},
          {"test", describe_split(dataset, dataset.test)}};
}

std::string describe_text(const Dataset& dataset) {
  const Shape& shape = dataset.image_shape;
  std::string text = fmt::format(
      "{:<9} {}\n{:<9} {} x {} x {}, {}\n", "data", dataset.name, "images", shape[0], shape[1],
      shape[2], dataset.levels == 0 ? "continuous" : fmt::format("{} grey levels", dataset.levels));
  text +=
      split_text(dataset, "train", dataset.train) + split_text(dataset, "held out", dataset.test);
  if (!dataset.class_names.empty())
    text += fmt::format("{:<9} {}\n", "classes", fmt::join(dataset.class_names, ", "));
  text += fmt::format("{:<9} {}\n{:<9} {}\n", "source", dataset.source, "licence", dataset.licence);
  if (!dataset.note.empty()) text += fmt::format("{:<9} {}\n", "note", dataset.note);
  return text;
}

}  // namespace ddpm
