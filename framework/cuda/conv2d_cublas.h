// Pointwise convolutions and linear maps as one matrix product of cuBLAS, in f32 without TF32 or in
// f64. The bias is written first, and the product added to it.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool cublas_supports(const Conv2dProblem& problem);
void cublas_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void cublas_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
