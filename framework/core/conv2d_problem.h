// What a convolution is asked to do, free of who does it: the extents and operands that each
// backend's table of algorithms decides on (framework/cpu/conv2d_algorithms.h and its CUDA
// counterpart). Linear maps are convolutions here too.
#pragma once

#include <cstdint>

#include "framework/core/tensor.h"

namespace ddpm {

// The extents of y (N, P, Q, K) = conv2d(x (N, H, W, C), weight (K, R, S, C)). Padding below and to
// the right follows from P and Q.
struct Conv2dProblem {
  DType dtype = DType::kF32;                    // of x, y and weight
  int64_t images = 0;                           // N
  int64_t in_height = 0, in_width = 0;          // H, W
  int64_t in_channels = 0;                      // C
  int64_t out_height = 0, out_width = 0;        // P, Q
  int64_t out_channels = 0;                     // K
  int64_t kernel_height = 1, kernel_width = 1;  // R, S
  int64_t stride = 1, pad_top = 0, pad_left = 0;

  int64_t in_pixels() const { return in_height * in_width; }
  int64_t out_pixels() const { return out_height * out_width; }
  int64_t taps() const { return kernel_height * kernel_width; }
  // A matrix product on a reshape of x.
  bool is_pointwise() const {
    return taps() == 1 && stride == 1 && pad_top == 0 && pad_left == 0 && in_height == out_height &&
           in_width == out_width;
  }
};

// A pass reads two of x, weight, y and writes the third. What is added to the result before it is
// rounded and written may each be empty: the bias has as many elements as the result has channels,
// per_sample (N, K) and residual (N, P, Q, K) are for the forward pass alone. Biases and weight
// gradients are f32 where x, weight and y are bf16. A result that feeds a normalisation may be left
// with partial statistics (framework/cuda/moments.h).
struct Conv2dOperands {
  Tensor x, weight, bias, y;
  Tensor per_sample = {}, residual = {};
  bool feeds_norm = false;
};

enum class Conv2dPass { kForward, kBackwardData, kBackwardWeight };
inline constexpr Conv2dPass kConv2dPasses[] = {Conv2dPass::kForward, Conv2dPass::kBackwardData,
                                               Conv2dPass::kBackwardWeight};

constexpr const char* name_of(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::kForward: return "forward";
    case Conv2dPass::kBackwardData: return "backward_data";
    case Conv2dPass::kBackwardWeight: return "backward_weight";
  }
  return "?";
}

struct Conv2dAlgorithm {
  const char* name;
  bool (*supports)(const Conv2dProblem& problem);
  void (*run)(const Conv2dProblem& problem, const Conv2dOperands& operands);
};

}  // namespace ddpm
