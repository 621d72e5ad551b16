// Changes of resolution by two. (N, H, W, C) -> (N, 2 H, 2 W, C) or (N, H / 2, W / 2, C)
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

Tensor upsample_nearest(const Tensor& x);  // every pixel becomes a 2x2 block
Tensor average_pool(const Tensor& x);      // mean of every 2x2 block; H and W are even

// y = factor * (each pixel of x repeated in a 2x2 block)
DDPM_KERNEL(void repeat_2x2(const Tensor& x, double factor, Tensor& y));
// y = factor * (sum of each 2x2 block of x)
DDPM_KERNEL(void sum_2x2(const Tensor& x, double factor, Tensor& y));

}  // namespace ddpm
