// The kernel distance of two sets of features, which is the KID where the features are Inception's:
// the unbiased estimate of the squared maximum mean discrepancy under the kernel (x.y / D + 1)^3
// (Binkowski et al. 2018). It has mean zero for equal laws, at any N, and may be negative.
#pragma once

#include <cstdint>

#include "framework/core/tensor.h"

namespace ddpm {

struct KernelDistanceOptions {
  int64_t subsets = 100, subset_size = 1000;  // the size is at most that of the smaller set
  uint64_t seed = 0;                          // which rows are in a subset
};

struct KernelDistance {
  double mean = 0, std = 0;  // over the subsets; the std of subsets that are the whole set is 0
  int64_t subset_size = 0;
};

// Of subsets of the rows of x (N, D) and y (M, D), both on the host.
KernelDistance kernel_distance(const Tensor& x, const Tensor& y,
                               const KernelDistanceOptions& options = {});

}  // namespace ddpm
