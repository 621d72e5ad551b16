// The metrics of samples by name: the table that `ddpm list` and reports show, and how what was
// measured gets these names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiments/metrics/distances.h"
#include "experiments/metrics/sample_range.h"

namespace ddpm {

struct Metric {
  std::string_view name;    // "<extractor>" stands for an extractor's name
  std::string_view better;  // "lower", "higher", or "" where neither is
  std::string_view needs;   // "samples", or "samples, extractor"
  std::string_view help;
};

std::span<const Metric> metrics();
// The row of "fd_digits1", or null.
const Metric* find_metric(std::string_view name);

// {{"fd_digits1", 0.31}, ...}
using MetricValues = std::vector<std::pair<std::string, double>>;
MetricValues metric_values(const FeatureDistances::Result& distances);
MetricValues metric_values(const SampleRange& range);

}  // namespace ddpm
