// The Inception Score (Salimans et al. 2016): exp E_x KL(p(y|x) || p(y)), the mean over splits of
// the images. High where single images are told apart with certainty and all classes occur; it sees
// no reference, and means little for images unlike ImageNet's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

// Gathers it batch by batch. The number of images is known beforehand, since split s are the images
// from floor(count * s / splits) on.
class InceptionScore {
 public:
  struct Result {
    double mean = 0, std = 0;  // over the splits
  };

  // Throws a UserError when there are fewer images than splits.
  InceptionScore(int64_t count, int64_t classes, int64_t splits = 10);

  void add(const Tensor& logits);  // (n, classes) f32 on the host: the next images
  Result result() const;           // of all `count` images

  std::vector<double> state() const;
  void restore(std::span<const double> state);

 private:
  int64_t count_, classes_, splits_, seen_ = 0;
  std::vector<double> probabilities_;  // (splits, classes): sums of p(y|x)
  std::vector<double> negentropies_;   // (splits): sums of sum_y p(y|x) log p(y|x)
};

}  // namespace ddpm
