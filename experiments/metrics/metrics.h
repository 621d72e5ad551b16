// The metrics of samples by name: the table that `ddpm list` and reports show, and how what was
// measured gets these names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiments/metrics/comparison.h"
#include "experiments/metrics/sample_range.h"

namespace ddpm {

struct Metric {
  // "<extractor>" and "[<resize>]" stand for the feature space: fd_digits1, fid[tf].
  std::string_view name;
  std::string_view better;  // "lower", "higher", or "" where neither is
  std::string_view needs;   // "samples"; "samples, extractor"; "samples, inception"
  std::string_view help;
  // Null of what is no comparison of features.
  std::optional<double> (*value)(const FeatureComparison&) = nullptr;
};

std::span<const Metric> metrics();
// The row of "fd_digits1", or null.
const Metric* find_metric(std::string_view name);

// All that can be told of samples in a space: "fd_digits1", ...
std::vector<std::string> metric_names(const FeatureSpace& space);

// {{"fd_digits1", 0.31}, ...}
using MetricValues = std::vector<std::pair<std::string, double>>;
MetricValues metric_values(const FeatureComparison& comparison);
MetricValues metric_values(const SampleRange& range);

}  // namespace ddpm
