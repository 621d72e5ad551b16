// NumPy archives of reference statistics.
#include <algorithm>
#include <span>

#include "experiments/metrics/feature_summary.h"
#include "framework/core/check.h"
#include "framework/io/npy.h"

namespace ddpm {
namespace {

std::vector<double> numbers(const NamedTensors& file, const std::string& name, const Shape& shape) {
  const Tensor& values = file.at(name);
  const bool is_single = values.dtype() == DType::kF32;
  DDPM_CHECK(values.shape() == shape && (is_single || values.dtype() == DType::kF64),
             "'{}': '{}' is {} {}, expected f64 or f32 {}: statistics of another feature space",
             file.source(), name, name_of(values.dtype()), values.shape(), shape);
  if (!is_single) return values.to_host<double>();
  const std::vector<float> singles = values.to_host<float>();
  return {singles.begin(), singles.end()};
}

FeatureStatistics statistics(const NamedTensors& file, const std::string& suffix,
                             int64_t dimension) {
  FeatureStatistics s;
  s.dimension = dimension;
  s.mean = numbers(file, "mu" + suffix, {dimension});
  s.covariance = numbers(file, "sigma" + suffix, {dimension, dimension});
  if (const Tensor* count = file.find("count"))
    if (count->dtype() == DType::kI64 && count->numel() == 1) s.count = *count->data<int64_t>();
  return s;
}

}  // namespace

std::string space_id(const FeatureSpace& space) {
  return fmt::format("{} {} {}", space.is_inception() ? "inception" : "extractor", space.name(),
                     space.weights_sha256());
}

void write_statistics(const std::string& path, const FeatureSummary& summary,
                      const FeatureSpace& space) {
  const std::string id = space_id(space);
  std::vector<NpzArray> arrays;
  const auto add = [&](const std::string& suffix, const FeatureStatistics& s) {
    arrays.push_back({"mu" + suffix, {s.dimension}, DType::kF64, std::as_bytes(std::span(s.mean))});
    arrays.push_back({"sigma" + suffix,
                      {s.dimension, s.dimension},
                      DType::kF64,
                      std::as_bytes(std::span(s.covariance))});
  };
  add("", summary.statistics);
  if (summary.spatial) add("_s", *summary.spatial);
  arrays.push_back(
      {"count", {1}, DType::kI64, std::as_bytes(std::span(&summary.statistics.count, 1))});
  arrays.push_back({"features",
                    summary.rows.shape(),
                    DType::kF32,
                    {summary.rows.raw(), static_cast<size_t>(summary.rows.bytes())}});
  arrays.push_back({"space",
                    {static_cast<int64_t>(id.size())},
                    DType::kU8,
                    std::as_bytes(std::span(id.data(), id.size()))});
  write_npz(path, arrays);
}

FeatureSummary read_statistics(const std::string& path, const FeatureSpace& space) {
  const NamedTensors file = read_npz(path);
  if (const Tensor* made = file.find("space"); made && made->dtype() == DType::kU8) {
    const std::string id(reinterpret_cast<const char*>(made->raw()),
                         static_cast<size_t>(made->numel()));
    DDPM_CHECK(id == space_id(space),
               "'{}': its statistics are of the feature space '{}', not of '{}'", path, id,
               space_id(space));
  }
  FeatureSummary summary;
  summary.statistics = statistics(file, "", space.dimension());
  if (space.spatial_dimension() > 0 && file.has("mu_s"))
    summary.spatial = statistics(file, "_s", space.spatial_dimension());
  if (const Tensor* rows = file.find("features")) {
    DDPM_CHECK(rows->shape().rank() == 2 && rows->shape()[1] == space.dimension() &&
                   rows->dtype() == DType::kF32,
               "'{}': 'features' is {} {}, expected f32 (images, {})", path, name_of(rows->dtype()),
               rows->shape(), space.dimension());
    summary.rows = *rows;
  }
  return summary;
}

}  // namespace ddpm
