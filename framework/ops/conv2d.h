// 2-D convolution in NHWC with KRSC weights.
//
//   y[n, p, q, k] = bias[k] + sum_{r, s, c} x[n, i, j, c] * weight[k, r, s, c]
//   with i = p * stride + r - pad_top and j = q * stride + s - pad_left
//
// Padding is given per side: TensorFlow's 'SAME' at stride 2 on even extents pads (0, 1), which a
// symmetric padding cannot express and which the DDPM network needs. Forward, data gradient and
// weight gradient are three kernels with three names; which algorithm runs each is decided by
// framework/cpu/conv2d_algorithms.h (or its CUDA counterpart) from the shape and the machine.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

struct Conv2dGeometry {
  int stride = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  // TensorFlow 'SAME' for a kernel of `extent` on inputs divisible by the stride.
  static Conv2dGeometry same(int extent, int stride = 1);
  // Shape of the output for x (N, H, W, C) and weight (K, R, S, C); checks everything.
  Shape output_shape(const Shape& x, const Shape& weight) const;
};

// What happens to y beside its bias before it is written once. Either addend may be empty.
struct Conv2dEpilogue {
  Tensor per_sample = {};   // (N, K), added at every position: the time embedding
  Tensor residual = {};     // (N, P, Q, K)
  bool feeds_norm = false;  // y is normalised next: partial statistics may be left with it
};

// x (N, H, W, C), weight (K, R, S, C), bias (K) or empty -> (N, P, Q, K). Where x and weight are
// bf16, the bias and the gradients of weight and bias are f32.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dGeometry& geometry, const Conv2dEpilogue& epilogue = {});

// The adjoint of conv2d with the same weight and geometry, plus a bias: "transposed convolution".
// x (N, P, Q, K), weight (K, R, S, C), bias (C) -> (N, H, W, C) with H = P * stride, W = Q * stride
Tensor conv2d_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Conv2dGeometry& geometry, bool feeds_norm = false);

// An empty bias is allowed in conv2d_forward and conv2d_backward_data (which adds it to dx).
DDPM_KERNEL(void conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                const Conv2dGeometry& geometry, const Conv2dEpilogue& epilogue,
                                Tensor& y));
DDPM_KERNEL(void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& bias,
                                      const Conv2dGeometry& geometry, bool feeds_norm, Tensor& dx));
DDPM_KERNEL(void conv2d_backward_weight(const Tensor& x, const Tensor& dy,
                                        const Conv2dGeometry& geometry, Tensor& dweight));

}  // namespace ddpm
