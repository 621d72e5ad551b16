// Forward and data gradient seen as one operation. Every pixel of the output has one source pixel
// per tap of the kernel, and
//
//   out[n, pixel[j], o] = bias[o] + sum_{tap, i} in[n, source[tap, j], i] * weight[tap, i, o]
//                         + per_sample[n, o] + residual[n, pixel[j], o]
//
// where source is -1 in the padding and, in the data gradient of a strided convolution, wherever
// the forward pass did not read. Stride and padding live in this table and nowhere else.
#pragma once

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {

struct GatherConv {
  int64_t images, in_pixels, in_channels, out_pixels, out_channels, taps;
  // weight[tap, i, o] lies at tap * tap_stride + i * in_stride + o * out_stride of the KRSC block.
  int64_t tap_stride, in_stride, out_stride;
  Tensor in, weight, bias, out;
  Tensor per_sample, residual;  // empty in the data gradient
  Tensor source;                // (taps, out_pixels) i32
  Tensor pixel;  // (out_pixels) i32, a permutation: sites that share taps lie side by side
};

// `pass` is kForward (x -> y) or kBackwardData (y -> x).
GatherConv gather_conv(Conv2dPass pass, const Conv2dProblem& problem,
                       const Conv2dOperands& operands);

// (taps, P * Q) i32: the pixel of x under each tap, or -1.
Tensor forward_sources(const Conv2dProblem& problem);

}  // namespace ddpm::cpu
