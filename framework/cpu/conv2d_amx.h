// Convolutions on the matrix unit of the processor (amx.h): bf16 products, f32 sums.
//
// bf16 problems are computed as they are. An f32 problem splits every operand into two bf16 parts,
// x = high + low with a remainder of at most 2^-17 of x, and adds up the three products that count,
//
//   high high + high low + low high
//
// so that a result is off by a few 1e-6 of its size ("bf16x3"), at three times the peak of the f32
// multiply-adds. Any kernel, stride and padding; channels are padded with zeros to 32.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cpu {

#if defined(__x86_64__)
bool amx_bf16_supports(const Conv2dProblem& problem);    // bf16 problems
bool amx_bf16x3_supports(const Conv2dProblem& problem);  // f32 problems
void amx_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void amx_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void amx_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);
#endif

}  // namespace ddpm::cpu
