// Convolution without a copy of the input: a register tile of 6 pixels by 2 or 4 vectors of output
// channels walks the taps and input channels of its pixels in place (implicit GEMM). The code is
// written once for any vector type in conv2d_direct_kernels.h and compiled per instruction set;
// f32, any extent, stride and padding.
#pragma once

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {

#if defined(__x86_64__)
bool direct_avx512_supports(const Conv2dProblem& problem);
void direct_avx512_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void direct_avx512_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void direct_avx512_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

bool direct_avx2_supports(const Conv2dProblem& problem);
void direct_avx2_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void direct_avx2_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void direct_avx2_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);
#endif

}  // namespace ddpm::cpu
