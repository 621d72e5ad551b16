// Reductions. Sums run in a fixed order whatever the thread count.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

Tensor sum(const Tensor& x);       // (...) -> (1)
Tensor mean(const Tensor& x);      // (...) -> (1)
Tensor row_mean(const Tensor& x);  // (N, ...) -> (N)
// Mean over all positions, channels kept: (N, H, W, C) -> (N, C)
Tensor spatial_mean(const Tensor& x);

// y[j] = sum_i x[i, j] for x seen as (rows, columns): bias gradients.
DDPM_KERNEL(void column_sum(const Tensor& x, int64_t columns, Tensor& y));
// y[i] = factor * sum_j x[i, j] for x seen as (rows, numel / rows).
DDPM_KERNEL(void row_sum_forward(const Tensor& x, int64_t rows, double factor, Tensor& y));
// dx[i, j] = factor * dy[i]
DDPM_KERNEL(void row_sum_backward(const Tensor& dy, int64_t rows, double factor, Tensor& dx));
DDPM_KERNEL(void spatial_mean_forward(const Tensor& x, Tensor& y));
DDPM_KERNEL(void spatial_mean_backward(const Tensor& dy, Tensor& dx));

}  // namespace ddpm
