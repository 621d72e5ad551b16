#include "experiments/metrics/sample_range.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/core/check.h"

namespace ddpm {

SampleRange sample_range(const std::vector<float>& samples, double bound) {
  DDPM_CHECK(!samples.empty(), "the range of no samples was asked for");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  SampleRange range{
      .count = static_cast<int64_t>(samples.size()), .min = kInfinity, .max = -kInfinity};
  int64_t finite = 0, outside = 0, far_outside = 0;
  double sum = 0;
  for (const float x : samples) {
    outside += !(std::abs(x) <= bound);  // true of NaN
    far_outside += !(std::abs(x) <= kDivergedReach * bound);
    if (!std::isfinite(x)) continue;
    ++finite;
    sum += x;
    range.min = std::min<double>(range.min, x);
    range.max = std::max<double>(range.max, x);
  }
  const auto fraction = [&](int64_t n) {
    return static_cast<double>(n) / static_cast<double>(range.count);
  };
  range.outside = fraction(outside);
  range.far_outside = fraction(far_outside);
  range.nonfinite = fraction(range.count - finite);
  if (finite == 0) {
    range.min = range.max = range.mean = range.std = kNan;
    return range;
  }
  range.mean = sum / static_cast<double>(finite);
  double squares = 0;
  for (const float x : samples)
    if (std::isfinite(x)) squares += (x - range.mean) * (x - range.mean);
  range.std = std::sqrt(squares / static_cast<double>(finite));
  return range;
}

double value_bound(const Dataset& dataset) {
  if (dataset.levels > 0) return 1;
  float bound = 0;
  for (const float x : dataset.train.values) bound = std::max(bound, std::abs(x));
  return bound;
}

}  // namespace ddpm
