// Winograd's F(4x4, 3x3): 36 products of matrices (tiles, channels in) (channels in, channels out)
// in place of the 144 multiply-adds that 4 x 4 outputs of a 3x3 convolution cost,
//
//   y  = A^T [sum over channels of (G g G^T) * (B^T d B)] A         forward and data gradient
//   dg = G^T [sum over tiles of (A dy A^T) * (B^T d B)] G           weight gradient
//
// for tiles d of 6 x 6 pixels, 4 apart (Lavin & Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016). Interpolation at 0, +-sqrt(1/2), +-sqrt(2) and infinity in place of their 0,
// +-1, +-2 halves the rounding error. With r = sqrt(2):
//
//         1   0   -5/2   0   1  0            1     0     0
//         0  -r    -2   r/2  1  0          -2/3  -r/3  -1/3           1   1    1   1   1  0
//   B^T = 0   r    -2  -r/2  1  0     G =  -2/3   r/3  -1/3    A^T =  0  r/2 -r/2  r  -r  0
//         0 -r/2  -1/2   r   1  0           1/6   r/6   1/3           0  1/2  1/2  2   2  0
//         0  r/2  -1/2  -r   1  0           1/6  -r/6   1/3           0  r/4 -r/4 2r -2r  1
//         0   1     0  -5/2  0  1            0     0     1
//
// f32, kernel 3x3, stride 1, any padding and extents; one code for AVX-512 and AVX2
// (conv2d_winograd_kernels.h).
#pragma once

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {

#if defined(__x86_64__)
// Only where it is faster than the direct convolution of the same instruction set.
bool winograd_avx512_supports(const Conv2dProblem& problem);
bool winograd_avx512_supports_weight(const Conv2dProblem& problem);
void winograd_avx512_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void winograd_avx512_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void winograd_avx512_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

bool winograd_avx2_supports(const Conv2dProblem& problem);
bool winograd_avx2_supports_weight(const Conv2dProblem& problem);
void winograd_avx2_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void winograd_avx2_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void winograd_avx2_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);
#endif

}  // namespace ddpm::cpu
