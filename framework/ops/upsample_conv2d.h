// A 3x3 'SAME' convolution of an image that was doubled by nearest neighbour, without the doubled
// image and with 4/9 of its multiplications.
//
// Every pixel of x stands for four equal ones, so several taps of the kernel meet the same value
// and may be added up first. What remains is the transposed convolution of stride 2 whose 4x4
// kernel is the 3x3 kernel smeared over the block; in one dimension, with taps w0 w1 w2,
//   (w2, w1 + w2, w0 + w1, w0)
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// x (N, H, W, C), weight (K, 3, 3, C), bias (K) or empty -> (N, 2 H, 2 W, K):
//   y = conv2d(upsample_nearest(x), weight, bias, Conv2dGeometry::same(3))
// `feeds_norm` as in Conv2dEpilogue.
Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       bool feeds_norm = false);

// weight (K, 3, 3, C) -> smeared (C, 4, 4, K), and its adjoint. Gradients are f32 where the weight
// is bf16, whose sums are rounded once.
DDPM_KERNEL(void smear_kernel_forward(const Tensor& weight, Tensor& smeared));
DDPM_KERNEL(void smear_kernel_backward(const Tensor& dsmeared, Tensor& dweight));

namespace math {

// Taps of the 3x3 kernel that meet in tap u of the 4x4 kernel, along one axis: first .. last.
struct SmearedTaps {
  int first, last;
};
DDPM_HD constexpr SmearedTaps smeared_taps(int u) {
  return {u == 0 ? 2 : u == 1 ? 1 : 0, u == 3 ? 0 : u == 2 ? 1 : 2};
}

// Element (c, u, v, k) of the smeared kernel.
template <class T>
DDPM_HD Accumulator<T> smeared(const T* weight, int64_t channels, int64_t k, int u, int v,
                               int64_t c) {
  const SmearedTaps rows = smeared_taps(u), columns = smeared_taps(v);
  Accumulator<T> sum = 0;
  for (int r = rows.first; r <= rows.last; ++r)
    for (int s = columns.first; s <= columns.last; ++s)
      sum += weight[((k * 3 + r) * 3 + s) * channels + c];
  return sum;
}

// Element (k, r, s, c) of the adjoint: tap r meets in taps 2 - r and 3 - r of the smeared kernel.
template <class T>
DDPM_HD T gathered(const T* dsmeared, int64_t outputs, int64_t k, int r, int s, int64_t c) {
  T sum = 0;
  for (int u = 2 - r; u <= 3 - r; ++u)
    for (int v = 2 - s; v <= 3 - s; ++v) sum += dsmeared[((c * 4 + u) * 4 + v) * outputs + k];
  return sum;
}

}  // namespace math
}  // namespace ddpm
