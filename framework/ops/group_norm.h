// Group normalisation (Wu & He 2018) over (H, W, C / groups) of each sample, with the two steps
// that follow it in every residual block fused in:
//
//   xhat = (x - mean) / sqrt(variance + epsilon);  u = gamma * xhat + beta
//   y = dropout(silu(u))       (silu if `silu`; inverted dropout if rate > 0)
//
// Statistics are kept as mean and reciprocal standard deviation, (N, groups) each; the dropout mask
// is not kept but drawn again in backward. Where x and y are bf16, everything else is f32.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/random/random.h"

namespace ddpm {

// What is normalised: x (N, H, W, A), or [x | skip] along the channels for skip (N, H, W, B), which
// is never copied together. A group may have channels of both. Also its gradient.
struct NormInput {
  NormInput(Tensor only, Tensor second = {}) : x(std::move(only)), skip(std::move(second)) {}

  Tensor x, skip;  // skip may be empty

  int64_t skip_channels() const { return skip ? skip.shape()[3] : 0; }
  int64_t channels() const { return x.shape()[3] + skip_channels(); }
};

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

// input (N, H, W, C), gamma (C), beta (C) -> (N, H, W, C)
//   group_norm(x, gamma, beta, options), group_norm({x, skip}, gamma, beta, options)
Tensor group_norm(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                  const GroupNormOptions& options);

DDPM_KERNEL(void group_norm_forward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                                    const GroupNormOptions& options,
                                    GroupNormStatistics& statistics, Tensor& y));
// dinput = the gradient of input + addend, whose tensors may be empty.
DDPM_KERNEL(void group_norm_backward(const NormInput& input, const Tensor& gamma,
                                     const Tensor& beta, const GroupNormStatistics& statistics,
                                     const GroupNormOptions& options, const Tensor& dy,
                                     const NormInput& addend, NormInput& dinput, Tensor& dgamma,
                                     Tensor& dbeta));

}  // namespace ddpm
