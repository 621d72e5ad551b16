// A bf16 convolution by way of f32: operands are widened, the f32 algorithm of the problem runs,
// and its result is rounded. For processors without bf16 matrix units, and the reference for those
// with them.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cpu {

bool widened_supports(const Conv2dProblem& problem);
void widened_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void widened_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void widened_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cpu
