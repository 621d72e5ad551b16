// Group normalisation (Wu & He 2018) over (H, W, C / groups) of each sample, with the two steps
// that follow it in every residual block fused in:
//
//   xhat = (x - mean) / sqrt(variance + epsilon);  u = gamma * xhat + beta
//   y = dropout(silu(u))       (silu if `silu`; inverted dropout if rate > 0)
//
// Statistics are kept as mean and reciprocal standard deviation, (N, groups) each; the dropout mask
// is not kept but drawn again in backward.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/random/random.h"

namespace ddpm {

struct GroupNormOptions {
  int groups = 32;
  double epsilon = 1e-6;  // DDPM's value; PyTorch's default is 1e-5
  bool silu = false;
  double dropout = 0;        // probability of dropping an element
  RandomStream stream = {};  // of the dropout mask
};

struct GroupNormStatistics {
  Tensor mean, rstd;  // (N, groups)
};

// x (N, H, W, C), gamma (C), beta (C) -> (N, H, W, C)
Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const GroupNormOptions& options);

DDPM_KERNEL(void group_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                    const GroupNormOptions& options,
                                    GroupNormStatistics& statistics, Tensor& y));
DDPM_KERNEL(void group_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     const GroupNormStatistics& statistics,
                                     const GroupNormOptions& options, const Tensor& dy, Tensor& dx,
                                     Tensor& dgamma, Tensor& dbeta));

}  // namespace ddpm
