#include "experiments/metrics/metrics.h"

namespace ddpm {
namespace {

constexpr std::string_view kExtractor = "<extractor>";

constexpr Metric kMetrics[] = {
    {"fd_<extractor>", "lower", "samples, extractor",
     "Frechet distance to the reference images in the extractor's features"},
    {"kd_<extractor>", "lower", "samples, extractor",
     "kernel distance (unbiased squared MMD, cubic kernel), mean over subsets"},
    {"kd_std_<extractor>", "", "samples, extractor", "its standard deviation over subsets"},
    {"sample_min", "", "samples", "smallest value before clipping"},
    {"sample_max", "", "samples", "largest value before clipping"},
    {"sample_mean", "", "samples", "mean of the values before clipping"},
    {"sample_std", "", "samples", "standard deviation of the values before clipping"},
    {"sample_outside", "lower", "samples", "fraction of values outside the range of the data"},
    {"sample_nonfinite", "lower", "samples", "fraction of values that are not finite"},
};

bool matches(std::string_view pattern, std::string_view name) {
  const size_t hole = pattern.find(kExtractor);
  if (hole == std::string_view::npos) return pattern == name;
  return name.starts_with(pattern.substr(0, hole)) && name.size() > hole;
}

}  // namespace

std::span<const Metric> metrics() { return kMetrics; }

const Metric* find_metric(std::string_view name) {
  // Of two patterns that fit, the longer: kd_std_digits1 is no distance of an extractor "std_...".
  const Metric* found = nullptr;
  for (const Metric& metric : kMetrics)
    if (matches(metric.name, name) && (!found || metric.name.size() > found->name.size()))
      found = &metric;
  return found;
}

MetricValues metric_values(const FeatureDistances::Result& distances) {
  return {{"fd_" + distances.extractor, distances.frechet},
          {"kd_" + distances.extractor, distances.kernel.mean},
          {"kd_std_" + distances.extractor, distances.kernel.std}};
}

MetricValues metric_values(const SampleRange& range) {
  return {{"sample_min", range.min},         {"sample_max", range.max},
          {"sample_mean", range.mean},       {"sample_std", range.std},
          {"sample_outside", range.outside}, {"sample_nonfinite", range.nonfinite}};
}

}  // namespace ddpm
