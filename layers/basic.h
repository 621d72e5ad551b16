// The leaves of a network: structs that own handles on their parameters and have a call operator.
// `init_scale` 0 means the paper's 1e-10 (see Init).
#pragma once

#include "framework/ops/conv2d.h"
#include "framework/ops/group_norm.h"
#include "framework/train/parameters.h"

namespace ddpm {

// Random bits of a training forward pass; inference passes no Dropout at all.
struct DropoutSource {
  uint64_t seed = 0;
  Tensor counter;  // StepState::counter
};

// y = x weight^T + bias + residual on the innermost axis; a 1x1 convolution too.
// (..., in) -> (..., out)
struct Linear {
  Linear(const Scope& scope, int64_t in, int64_t out, double init_scale = 1);
  Tensor operator()(const Tensor& x, const Tensor& residual = {}, bool feeds_norm = false) const;

  Parameter weight, bias;  // (out, in), (out)
};

// A 3x3 convolution with TensorFlow's 'SAME' padding. (N, H, W, in) -> (N, H / stride, W / stride,
// out)
struct Conv3x3 {
  Conv3x3(const Scope& scope, int64_t in, int64_t out, double init_scale = 1, int stride = 1);
  Tensor operator()(const Tensor& x, const Conv2dEpilogue& epilogue = {}) const;

  Parameter weight, bias;  // (out, 3, 3, in), (out)
  Conv2dGeometry geometry;
};

// 32 groups as in the paper, fewer for less than 128 channels: the largest divisor of the channel
// count up to min(32, channels / 4).
int64_t default_norm_groups(int64_t channels);

// `norm_groups` 0: default_norm_groups. epsilon 1e-6.
struct GroupNorm {
  GroupNorm(const Scope& scope, int64_t channels, int64_t norm_groups = 0);
  Tensor operator()(const Tensor& x) const;
  // silu(norm(input)), and dropout at `rate` when a source is given
  Tensor then_silu(const NormInput& input, double rate = 0,
                   const DropoutSource* dropout = nullptr) const;

  Parameter weight, bias;  // (C), (C): gamma and beta
  int groups;
  uint32_t dropout_site;
};

}  // namespace ddpm
