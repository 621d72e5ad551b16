// Convolution of stride 1 or 2 in bf16 on the tensor cores of Hopper (compute capability 9.0, code
// for sm_90a), for maps of exactly the stride times the extents of the result, channels in
// multiples of 64 and results whose width divides 64; pointwise convolutions on maps of any size.
// Tiles of sums and pieces of the depth are cut by the shape alone: the bits are the same on every
// card.
//
// Measured on an H200: bench/README.md. Its kernels also run in the tests on the host, where the
// copy engine with its element strides, the barriers and the tensor cores are played from the rules
// of the PTX ISA (tests/cuda_on_host/hopper.h). DDPM_CONV2D=mma avoids it.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool wgmma_supports(const Conv2dProblem& problem);
void wgmma_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void wgmma_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void wgmma_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
