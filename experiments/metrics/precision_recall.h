// Precision and recall of generated images (Kynkaanniemi et al. 2019): a set of features stands for
// the union of the balls around its points that reach to their k-th nearest neighbours in the set.
// Precision is the fraction of samples within that of the reference images, recall the fraction of
// reference images within that of the samples. Both depend on the sizes of the sets.
#pragma once

#include <cstdint>

#include "framework/core/tensor.h"

namespace ddpm {

struct PrecisionRecall {
  double precision = 0, recall = 0;
};

// samples (N, D) and reference (M, D) on the host. Throws a UserError when a set has no k-th
// neighbours.
PrecisionRecall precision_recall(const Tensor& samples, const Tensor& reference, int64_t k = 3);

}  // namespace ddpm
