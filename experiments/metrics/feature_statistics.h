// Mean and covariance of the features of any number of images, in memory that does not grow with
// it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

// Of rows of D features, in double precision.
struct FeatureStatistics {
  FeatureStatistics() = default;
  explicit FeatureStatistics(const Tensor& features);  // (N, D) on the host

  int64_t count = 0;  // 0: not known, of statistics that another program saved
  int64_t dimension = 0;
  std::vector<double> mean;        // (D)
  std::vector<double> covariance;  // (D, D), unbiased: divided by N - 1
};

// Gathers them batch by batch. Rows are merged in pieces of a fixed size (Chan, Golub & LeVeque
// 1983), so that the result depends on the rows alone and large means cost no precision.
class FeatureAccumulator {
 public:
  explicit FeatureAccumulator(int64_t dimension);

  void add(const Tensor& features);  // (n, D) f32 on the host, any n
  int64_t count() const { return merged_ + pending_; }
  // Throws a UserError for fewer than two rows.
  FeatureStatistics statistics() const;

  // All there is to it, as numbers: restore(state()) of another accumulator makes it the same.
  std::vector<double> state() const;
  void restore(std::span<const double> state);

 private:
  void merge();

  int64_t dimension_, merged_ = 0, pending_ = 0;
  std::vector<float> rows_;             // (kPiece, D): the first pending_ are not merged yet
  std::vector<double> mean_, scatter_;  // of the merged; the lower triangle of (D, D)
};

}  // namespace ddpm
