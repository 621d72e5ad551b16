#include "experiments/metrics/metrics.h"

namespace ddpm {
namespace {

using Value = std::optional<double>;
using Comparison = FeatureComparison;

constexpr std::string_view kExtractor = "<extractor>", kResize = "<resize>";
constexpr std::string_view kInInception = "samples, inception", kInOther = "samples, extractor";

Value frechet(const Comparison& c) { return c.frechet_distance; }
Value frechet_limit(const Comparison& c) { return c.frechet_limit; }
Value spatial(const Comparison& c) { return c.spatial_frechet; }
Value kernel(const Comparison& c) { return c.kernel ? Value(c.kernel->mean) : Value(); }
Value kernel_std(const Comparison& c) { return c.kernel ? Value(c.kernel->std) : Value(); }
Value precision(const Comparison& c) { return c.coverage ? Value(c.coverage->precision) : Value(); }
Value recall(const Comparison& c) { return c.coverage ? Value(c.coverage->recall) : Value(); }
Value score(const Comparison& c) { return c.score ? Value(c.score->mean) : Value(); }
Value class_accuracy(const Comparison& c) { return c.class_accuracy; }
Value score_std(const Comparison& c) { return c.score ? Value(c.score->std) : Value(); }

constexpr Metric kMetrics[] = {
    {"fid[<resize>]", "lower", kInInception,
     "Frechet Inception distance; resizing tf, pytorch or clean", frechet},
    {"fid_inf[<resize>]", "lower", kInInception, "FID extrapolated to infinitely many samples",
     frechet_limit},
    {"sfid[<resize>]", "lower", kInInception, "FID of spatial features (mixed_6)", spatial},
    {"is[<resize>]", "higher", kInInception, "Inception Score, mean over 10 splits", score},
    {"is_std[<resize>]", "", kInInception, "its standard deviation over the splits", score_std},
    {"kid[<resize>]", "lower", kInInception,
     "kernel Inception distance (unbiased squared MMD, cubic kernel), mean over subsets", kernel},
    {"kid_std[<resize>]", "", kInInception, "its standard deviation over subsets", kernel_std},
    {"precision[<resize>]", "higher", kInInception,
     "fraction of samples among the reference images (k = 3)", precision},
    {"recall[<resize>]", "higher", kInInception,
     "fraction of reference images among the samples (k = 3)", recall},
    {"fd_<extractor>", "lower", kInOther,
     "Frechet distance to the reference images in the extractor's features", frechet},
    {"fd_inf_<extractor>", "lower", kInOther, "the same extrapolated to infinitely many samples",
     frechet_limit},
    {"kid_<extractor>", "lower", kInOther,
     "kernel distance (unbiased squared MMD, cubic kernel), mean over subsets", kernel},
    {"kid_std_<extractor>", "", kInOther, "its standard deviation over subsets", kernel_std},
    {"precision_<extractor>", "higher", kInOther,
     "fraction of samples among the reference images (k = 3)", precision},
    {"recall_<extractor>", "higher", kInOther,
     "fraction of reference images among the samples (k = 3)", recall},
    {"class_accuracy_<extractor>", "higher", kInOther,
     "fraction of samples of a conditional run that its classifier takes for the class asked for",
     class_accuracy},
    {"sample_min", "", "samples", "smallest value before clipping"},
    {"sample_max", "", "samples", "largest value before clipping"},
    {"sample_mean", "", "samples", "mean of the values before clipping"},
    {"sample_std", "", "samples", "standard deviation of the values before clipping"},
    {"sample_outside", "lower", "samples", "fraction of values outside the range of the data"},
    {"sample_nonfinite", "lower", "samples", "fraction of values that are not finite"},
};

// What a pattern's hole is, and what stands before and after it.
struct Pattern {
  std::string_view before, after;
  bool has_hole = false;

  explicit Pattern(std::string_view pattern) : before(pattern) {
    for (const std::string_view hole : {kExtractor, kResize})
      if (const size_t at = pattern.find(hole); at != std::string_view::npos) {
        before = pattern.substr(0, at);
        after = pattern.substr(at + hole.size());
        has_hole = true;
      }
  }
  bool matches(std::string_view name) const {
    if (!has_hole) return name == before;
    return name.size() > before.size() + after.size() && name.starts_with(before) &&
           name.ends_with(after);
  }
  std::string with(const std::string& space) const {
    return fmt::format("{}{}{}", before, space, after);
  }
};

bool is_of(const Metric& metric, bool is_inception) {
  return metric.needs == (is_inception ? kInInception : kInOther);
}

}  // namespace

std::span<const Metric> metrics() { return kMetrics; }

const Metric* find_metric(std::string_view name) {
  // Of two patterns that fit, the longer: kid_std_digits1 is no distance of an extractor "std_...".
  const Metric* found = nullptr;
  for (const Metric& metric : kMetrics)
    if (Pattern(metric.name).matches(name) && (!found || metric.name.size() > found->name.size()))
      found = &metric;
  return found;
}

std::vector<std::string> metric_names(const FeatureSpace& space) {
  std::vector<std::string> names;
  for (const Metric& metric : kMetrics)
    if (is_of(metric, space.is_inception()))
      names.push_back(Pattern(metric.name).with(space.name()));
  return names;
}

MetricValues metric_values(const FeatureComparison& comparison) {
  MetricValues values;
  for (const Metric& metric : kMetrics)
    if (is_of(metric, comparison.is_inception))
      if (const Value value = metric.value(comparison))
        values.emplace_back(Pattern(metric.name).with(comparison.space), *value);
  return values;
}

MetricValues metric_values(const SampleRange& range) {
  return {{"sample_min", range.min},         {"sample_max", range.max},
          {"sample_mean", range.mean},       {"sample_std", range.std},
          {"sample_outside", range.outside}, {"sample_nonfinite", range.nonfinite}};
}

}  // namespace ddpm
