// Convolution of any kernel, stride and padding in f32 or f64 as a matrix product on the CUDA
// cores, on every card. Nothing is unrolled into memory but, where one tile per block leaves most
// of the card idle, the partial sums of pieces of the depth, which a second kernel adds in order.
// Pieces are cut by the shape alone: the bits are the same on every card.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool implicit_gemm_supports(const Conv2dProblem& problem);
void implicit_gemm_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void implicit_gemm_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void implicit_gemm_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
