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

// y[j] = sum_i x[i, j] for x seen as (rows, columns), y of x's accumulator type: bias gradients.
DDPM_KERNEL(void column_sum(const Tensor& x, int64_t columns, Tensor& y));
// y[n, c] = factor * sum of x[n, ..., c] for x (N, ..., C) and y (N, C) of x's accumulator type.
DDPM_KERNEL(void position_sum_forward(const Tensor& x, double factor, Tensor& y));
// dx[n, ..., c] = factor * dy[n, c], both of one type
DDPM_KERNEL(void position_sum_backward(const Tensor& dy, double factor, Tensor& dx));
// y[i] = factor * sum_j x[i, j] for x seen as (rows, numel / rows).
DDPM_KERNEL(void row_sum_forward(const Tensor& x, int64_t rows, double factor, Tensor& y));
// dx[i, j] = factor * dy[i]
DDPM_KERNEL(void row_sum_backward(const Tensor& dy, int64_t rows, double factor, Tensor& dx));

}  // namespace ddpm
