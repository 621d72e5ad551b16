#include "experiments/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ddpm::report {
namespace {

constexpr size_t kMostPoints = 400;

Json series(const StudyFiles& study, const RunFiles& run, const Points& points, bool log_x) {
  Json list = Json::array();
  for (const auto& [x, y] : thin(points, kMostPoints, log_x)) {
    // Five digits draw any curve, and pages stay small.
    list.push_back({std::stod(fmt::format("{:.6g}", x)), std::stod(fmt::format("{:.5g}", y))});
  }
  return {{"label", run.label()}, {"group", study.label(run.variant)}, {"points", list}};
}

Json chart(const char* x, const char* y, bool log_x, bool log_y) {
  return {{"x", x}, {"y", y}, {"logX", log_x}, {"logY", log_y}, {"series", Json::array()}};
}

void add_series(Chart& chart, const StudyFiles& study, const RunFiles& run, const Points& points) {
  if (!points.empty())
    chart.data["series"].push_back(series(study, run, points, chart.data["logX"]));
}

// NaN where a term was never evaluated.
std::vector<double> numbers(const Json& list) {
  std::vector<double> values;
  if (!list.is_array()) return values;
  for (const Json& value : list) values.push_back(value.is_number() ? value.get<double>() : NAN);
  return values;
}

// visit(split name, likelihood of the split) for each.
template <class Visit>
void for_each_split(const RunFiles& run, const Visit& visit) {
  const Json& splits = at(run.likelihood, "split");
  if (!splits.is_object()) return;
  for (const auto& [name, split] : splits.items()) visit(name, split);
}

// Charts by key, in the order in which keys first appear.
class ChartList {
 public:
  template <class Make>
  Chart& get(const std::string& key, const Make& make) {
    const auto [found, is_new] = index_.try_emplace(key, charts_.size());
    if (is_new) charts_.push_back(make());
    return charts_[found->second];
  }
  std::vector<Chart> take() {
    std::erase_if(charts_, [](const Chart& c) { return c.data["series"].empty(); });
    return std::move(charts_);
  }

 private:
  std::map<std::string, size_t> index_;
  std::vector<Chart> charts_;
};

std::string title_of(const std::string& key) {
  std::string title = key;
  std::replace(title.begin(), title.end(), '_', ' ');
  if (!title.empty()) title[0] = static_cast<char>(std::toupper(title[0]));
  return title;
}

}  // namespace

Points thin(const Points& points, size_t most, bool log_x) {
  if (points.size() <= most) return points;
  Points thinned;
  const double n = static_cast<double>(points.size()), pieces = static_cast<double>(most);
  size_t begin = 0;
  for (size_t i = 1; i <= most; ++i) {
    const double share = static_cast<double>(i) / pieces;
    const double cut = log_x ? std::pow(n, share) : n * share;
    const size_t end = i == most ? points.size() : static_cast<size_t>(cut);
    if (end <= begin) continue;
    double x = 0, y = 0;
    for (size_t k = begin; k < end; ++k) x += points[k].first, y += points[k].second;
    const double count = static_cast<double>(end - begin);
    thinned.emplace_back(x / count, y / count);
    begin = end;
  }
  return thinned;
}

std::vector<Chart> training_charts(const StudyFiles& study) {
  ChartList charts;
  for (const RunFiles& run : study.runs) {
    std::vector<std::string> keys;
    for (const Json& line : run.metrics)
      for (const auto& [key, value] : line.items())
        if (key != "step" && key != "seconds" && value.is_number() &&
            std::find(keys.begin(), keys.end(), key) == keys.end())
          keys.push_back(key);
    for (const std::string& key : keys) {
      Chart& c = charts.get(key, [&] {
        return Chart{title_of(key), "", chart("step", key.c_str(), false, key == "loss")};
      });
      Points points;
      for (const Json& line : run.metrics) {
        const double x = number_at(line, "step"), y = number_at(line, key);
        if (std::isfinite(x) && std::isfinite(y)) points.emplace_back(x, y);
      }
      add_series(c, study, run, points);
    }
  }
  return charts.take();
}

std::vector<Chart> bound_charts(const StudyFiles& study) {
  ChartList charts;
  for (const RunFiles& run : study.runs) {
    for_each_split(run, [&](const std::string& split, const Json& likelihood) {
      for (const Json& bound : at(likelihood, "bounds")) {
        const std::string variance = text_at(bound, "variance");
        Chart& c = charts.get(split + "/" + variance, [&] {
          return Chart{fmt::format("Terms of the bound, {} split, {} variance", split, variance),
                       "L_t in bits per dimension; t = 0 is the decoder's term.",
                       chart("t + 1", "bits/dim", true, true)};
        });
        Points points;
        const std::vector<double> terms = numbers(at(bound, "terms"));
        for (size_t t = 0; t < terms.size(); ++t)
          if (std::isfinite(terms[t])) points.emplace_back(static_cast<double>(t + 1), terms[t]);
        add_series(c, study, run, points);
      }
    });
  }
  return charts.take();
}

std::vector<Chart> evaluation_charts(const StudyFiles& study) {
  ChartList charts;
  for (const RunFiles& run : study.runs) {
    if (run.evaluations.empty()) continue;
    const Json& infos = at(run.result, "metric_info");
    const Json& metrics = at(run.result, "metrics");
    const double last_step = number_at(at(run.result, "evaluated"), "step");
    for (const auto& [name, value] : at(run.evaluations.back(), "evaluation").items()) {
      if (name.starts_with("sample_") || text_at(at(infos, name), "better").empty()) continue;
      Points points;
      for (const Json& line : run.evaluations) {
        const double x = number_at(line, "step"), y = number_at(at(line, "evaluation"), name);
        if (x < last_step && std::isfinite(y)) points.emplace_back(x, y);
      }
      const double last = number_at(metrics, name);
      if (std::isfinite(last_step) && std::isfinite(last)) points.emplace_back(last_step, last);
      Chart& c = charts.get(name, [&] {
        return Chart{name, "Measured during training and at the end.",
                     chart("step", name.c_str(), false, false)};
      });
      add_series(c, study, run, points);
    }
  }
  return charts.take();
}

Points rate_distortion_curve(const RunFiles& run, const std::string& split,
                             const std::string& variance) {
  const Json& likelihood = at(at(run.likelihood, "split"), split);
  const std::vector<double> rmse = numbers(at(likelihood, "rmse"));
  for (const Json& bound : at(likelihood, "bounds")) {
    if (text_at(bound, "variance") != variance) continue;
    const std::vector<double> terms = numbers(at(bound, "terms"));
    // x_t is known once the prior and L_s for all s > t are sent.
    double rate = number_at(likelihood, "prior");
    if (terms.size() != rmse.size() || !std::isfinite(rate)) return {};
    Points points;
    for (size_t t = terms.size(); t-- > 0; rate += terms[t]) {
      if (!std::isfinite(terms[t]) || !std::isfinite(rmse[t])) return {};
      points.emplace_back(rate, rmse[t]);
    }
    return points;
  }
  return {};
}

std::vector<Chart> rate_distortion_charts(const StudyFiles& study) {
  ChartList charts;
  for (const RunFiles& run : study.runs) {
    for_each_split(run, [&](const std::string& split, const Json& likelihood) {
      for (const Json& bound : at(likelihood, "bounds")) {
        const std::string variance = text_at(bound, "variance");
        Chart& c = charts.get(split + "/" + variance, [&] {
          return Chart{
              fmt::format("Rate and distortion, {} split, {} variance", split, variance),
              "What the receiver knows after x_T, .., x_t: bits spent, and the error of its "
              "estimate of x_0.",
              chart("rate (bits/dim)", "RMSE", false, false)};
        });
        add_series(c, study, run, rate_distortion_curve(run, split, variance));
      }
    });
  }
  return charts.take();
}

}  // namespace ddpm::report
