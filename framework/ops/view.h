// Differentiable reshape: the same storage under another shape.
#pragma once

#include "framework/core/tensor.h"

namespace ddpm {

Tensor reshape(const Tensor& x, Shape shape);

}  // namespace ddpm
