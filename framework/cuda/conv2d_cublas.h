// Pointwise convolutions and linear maps as one matrix product of cuBLAS: f32 without TF32, f64, or
// bf16 with sums and weight gradients in f32. Where something is added, sums are written first, and
// rounded once with it.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool cublas_supports(const Conv2dProblem& problem);
void cublas_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);
// sums (rows, K) f32 = x (rows, C) weight (K, C)^T of a problem in bf16, not rounded
void cublas_forward_sums(const Conv2dProblem& problem, const Tensor& x, const Tensor& weight,
                         const Tensor& sums);

}  // namespace ddpm::cuda
