#include "experiments/metrics/sample_range.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace ddpm {

void SampleRangeAccumulator::add(const std::vector<float>& values) {
  double finite = 0, sum = 0;
  for (const float x : values) {
    outside_ += !(std::abs(x) <= bound_);  // true of NaN
    far_outside_ += !(std::abs(x) <= kDivergedReach * bound_);
    if (!std::isfinite(x)) continue;
    ++finite;
    sum += x;
    min_ = std::min<double>(min_, x);
    max_ = std::max<double>(max_, x);
  }
  count_ += static_cast<double>(values.size());
  if (finite == 0) return;
  const double mean = sum / finite, apart = mean - mean_, all = finite_ + finite;
  for (const float x : values)
    if (std::isfinite(x)) squares_ += (x - mean) * (x - mean);
  squares_ += apart * apart * finite_ * finite / all;
  mean_ += apart * finite / all;
  finite_ = all;
}

SampleRange SampleRangeAccumulator::range() const {
  DDPM_CHECK(count_ > 0, "the range of no samples was asked for");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  SampleRange range{.count = static_cast<int64_t>(count_), .min = min_, .max = max_, .mean = mean_};
  range.std = std::sqrt(squares_ / finite_);
  range.outside = outside_ / count_;
  range.far_outside = far_outside_ / count_;
  range.nonfinite = (count_ - finite_) / count_;
  if (finite_ == 0) range.min = range.max = range.mean = range.std = kNan;
  return range;
}

std::vector<double> SampleRangeAccumulator::state() const {
  return {count_, finite_, outside_, far_outside_, min_, max_, mean_, squares_};
}

void SampleRangeAccumulator::restore(const std::vector<double>& s) {
  DDPM_CHECK(s.size() == 8, "not the state of a range of samples");
  count_ = s[0], finite_ = s[1], outside_ = s[2], far_outside_ = s[3];
  min_ = s[4], max_ = s[5], mean_ = s[6], squares_ = s[7];
}

SampleRange sample_range(const std::vector<float>& samples, double bound) {
  SampleRangeAccumulator accumulator(bound);
  accumulator.add(samples);
  return accumulator.range();
}

double value_bound(const Dataset& dataset) {
  if (dataset.levels > 0) return 1;
  float bound = 0;
  for (const float x : dataset.train.values) bound = std::max(bound, std::abs(x));
  return bound;
}

}  // namespace ddpm
