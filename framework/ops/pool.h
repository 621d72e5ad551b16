// Pooling over square windows in NHWC.
//
//   y[n, p, q, c] = the largest, or the mean, of x[n, i, j, c]
//   over i in [p * stride - pad, ... + window) and j in [q * stride - pad, ... + window)
//
// Padding holds no elements: it is never the largest and is not counted in a mean, as in TensorFlow
// (PyTorch's count_include_pad=False).
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

struct PoolGeometry {
  int window = 3, stride = 1;
  int pad = 0;  // on each of the four sides; less than the window, so that none is empty

  // Shape of the output for x (N, H, W, C); checks everything. `op` is what messages name.
  Shape output_shape(const char* op, const Shape& x) const;
};

// (N, H, W, C) -> (N, P, Q, C). Of equal elements the first in row-major order is the largest: it
// alone receives the gradient.
Tensor max_pool(const Tensor& x, const PoolGeometry& geometry);
Tensor mean_pool(const Tensor& x, const PoolGeometry& geometry);

DDPM_KERNEL(void max_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y));
DDPM_KERNEL(void max_pool_backward(const Tensor& x, const Tensor& dy, const PoolGeometry& geometry,
                                   Tensor& dx));
DDPM_KERNEL(void mean_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y));
DDPM_KERNEL(void mean_pool_backward(const Tensor& dy, const PoolGeometry& geometry, Tensor& dx));

}  // namespace ddpm
