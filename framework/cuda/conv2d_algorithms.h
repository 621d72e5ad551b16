// Which code runs a convolution on the GPU: the CUDA counterpart of
// framework/cpu/conv2d_algorithms.h, with the same problems, operands and rules. The first
// algorithm of a pass that supports the problem on this card runs; DDPM_CONV2D=<name> forces one by
// name, on either device.
#pragma once

#include <span>

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

std::span<const Conv2dAlgorithm> conv2d_algorithms(Conv2dPass pass);
void run_conv2d(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
