// Joining and splitting along the innermost axis.
#pragma once

#include <utility>

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// a (..., A), b (..., B) -> (..., A + B)
Tensor concat_channels(const Tensor& a, const Tensor& b);
// x (..., C) -> (..., first), (..., C - first)
std::pair<Tensor, Tensor> split_channels(const Tensor& x, int64_t first);

// Either part of the split may be empty: it is then not written.
DDPM_KERNEL(void concat(const Tensor& a, const Tensor& b, Tensor& y));
DDPM_KERNEL(void split(const Tensor& y, Tensor& a, Tensor& b));

}  // namespace ddpm
