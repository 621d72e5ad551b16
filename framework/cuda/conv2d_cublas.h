// Pointwise convolutions and linear maps as one matrix product of cuBLAS: f32 without TF32, f64, or
// bf16 with sums and weight gradients in f32. Addends are written first and the product is added to
// them; in bf16 that rounds twice, by at most 2^-9 of the addends more.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool cublas_supports(const Conv2dProblem& problem);
void cublas_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
