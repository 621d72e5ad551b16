// Elementwise ops; all tensors of a call have one shape and, but for cast, one floating type.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

Tensor full(Shape shape, double value, DType dtype, Device device);

// The values in another floating type; x itself where it is of that type already.
Tensor cast(const Tensor& x, DType dtype);

Tensor add(const Tensor& a, const Tensor& b);       // a + b
Tensor subtract(const Tensor& a, const Tensor& b);  // a - b
Tensor multiply(const Tensor& a, const Tensor& b);  // a * b
Tensor scale(const Tensor& x, double factor);       // factor * x
Tensor silu(const Tensor& x);                       // x * sigmoid(x)
Tensor relu(const Tensor& x);                       // max(x, 0)
// min(max(x, low), high); the gradient is that of the identity inside and zero outside.
Tensor clamp(const Tensor& x, double low, double high);

DDPM_KERNEL(void fill(double value, Tensor& y));
DDPM_KERNEL(void cast_forward(const Tensor& x, Tensor& y));
DDPM_KERNEL(void add_forward(const Tensor& a, const Tensor& b, Tensor& y));
DDPM_KERNEL(void subtract_forward(const Tensor& a, const Tensor& b, Tensor& y));
DDPM_KERNEL(void multiply_forward(const Tensor& a, const Tensor& b, Tensor& y));
DDPM_KERNEL(void scale_forward(const Tensor& x, double factor, Tensor& y));
DDPM_KERNEL(void silu_forward(const Tensor& x, Tensor& y));
DDPM_KERNEL(void silu_backward(const Tensor& x, const Tensor& dy, Tensor& dx));
DDPM_KERNEL(void relu_forward(const Tensor& x, Tensor& y));
DDPM_KERNEL(void relu_backward(const Tensor& x, const Tensor& dy, Tensor& dx));
DDPM_KERNEL(void clamp_forward(const Tensor& x, double low, double high, Tensor& y));
DDPM_KERNEL(void clamp_backward(const Tensor& x, const Tensor& dy, double low, double high,
                                Tensor& dx));

}  // namespace ddpm
