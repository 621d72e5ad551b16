// Convolution as one Eigen matrix product per tap on gathered rows: any extent, stride and padding,
// f32 and f64, any processor. The other algorithms are measured against it.
#pragma once

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {

void tap_gemm_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void tap_gemm_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void tap_gemm_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cpu
