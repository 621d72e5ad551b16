// Convolution of any kernel, stride, padding and channel count in bf16 as a matrix product on
// tensor cores, from compute capability 8.0 on: sums in f32 and one rounding, which comes after
// bias, per_sample and residual. Weight gradients are f32. Like implicit_gemm, it unrolls nothing
// into memory, and its bits are the same on every card of one generation's tensor cores.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool mma_supports(const Conv2dProblem& problem);
void mma_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void mma_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void mma_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
