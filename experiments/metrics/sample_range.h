// What can be said of samples without any extractor: the range of their values as the sampler left
// them, neither clipped nor rounded. It tells a model that diverged from one that is merely bad.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "data/dataset.h"

namespace ddpm {

// A sample set has diverged when a value is not finite, or when more than this fraction of the
// values lies further out than this multiple of the data's own bound: on [-1, 1] a good sampler
// leaves a few values just outside, a broken one most of them far outside.
inline constexpr double kDivergedFraction = 0.1;
inline constexpr double kDivergedReach = 2;

struct SampleRange {
  int64_t count = 0;  // values
  // Of the finite values; NaN when there is none.
  double min = 0, max = 0, mean = 0, std = 0;
  // Fractions of all values; what is not finite lies outside and far outside.
  double outside = 0;      // of [-bound, bound]
  double far_outside = 0;  // of kDivergedReach times that
  double nonfinite = 0;

  bool diverged() const { return nonfinite > 0 || far_outside > kDivergedFraction; }
};

// Gathers it batch by batch.
class SampleRangeAccumulator {
 public:
  explicit SampleRangeAccumulator(double bound) : bound_(bound) {}

  void add(const std::vector<float>& values);
  SampleRange range() const;  // of one value at least

  std::vector<double> state() const;
  void restore(const std::vector<double>& state);

 private:
  double bound_;
  double count_ = 0, finite_ = 0, outside_ = 0, far_outside_ = 0;  // whole numbers
  double min_ = std::numeric_limits<double>::infinity(), max_ = -min_;
  double mean_ = 0, squares_ = 0;  // of the finite: sum of (x - mean)^2
};

SampleRange sample_range(const std::vector<float>& samples, double bound = 1);

// The bound of data: 1 for grey levels, the largest magnitude in the training split otherwise.
double value_bound(const Dataset& dataset);

}  // namespace ddpm
