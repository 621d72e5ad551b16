// Affine map of the innermost axis. A 1x1 convolution ("network in network") is this op too.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// x (..., C), weight (K, C), bias (K) or empty, residual (..., K) or empty -> (..., K):
//   y = x weight^T + bias + residual
// `feeds_norm` as in Conv2dEpilogue. Where x and weight are bf16, the bias and the gradients of
// weight and bias are f32.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Tensor& residual = {}, bool feeds_norm = false);

DDPM_KERNEL(void linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                const Tensor& residual, bool feeds_norm, Tensor& y));
DDPM_KERNEL(void linear_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx));
DDPM_KERNEL(void linear_backward_weight(const Tensor& x, const Tensor& dy, Tensor& dweight));

}  // namespace ddpm
