// The arguments of conv2d and linear as the problem that the tables of algorithms decide on. For
// sources: no public header includes it.
#pragma once

#include "framework/core/conv2d_problem.h"
#include "framework/ops/conv2d.h"

namespace ddpm {

// x (N, H, W, C), weight (K, R, S, C), y (N, P, Q, K)
inline Conv2dProblem conv2d_problem(const Tensor& x, const Tensor& weight, const Tensor& y,
                                    const Conv2dGeometry& geometry) {
  return {.dtype = x.dtype(),
          .images = x.shape()[0],
          .in_height = x.shape()[1],
          .in_width = x.shape()[2],
          .in_channels = x.shape()[3],
          .out_height = y.shape()[1],
          .out_width = y.shape()[2],
          .out_channels = y.shape()[3],
          .kernel_height = weight.shape()[1],
          .kernel_width = weight.shape()[2],
          .stride = geometry.stride,
          .pad_top = geometry.pad_top,
          .pad_left = geometry.pad_left};
}

// weight (K, C), y (..., K): rows are images of one pixel, the matrix products those of a 1x1
// convolution.
inline Conv2dProblem linear_problem(const Tensor& weight, const Tensor& y) {
  const int64_t channels = weight.shape()[1], outputs = weight.shape()[0];
  return {.dtype = y.dtype(),
          .images = y.numel() / outputs,
          .in_height = 1,
          .in_width = 1,
          .in_channels = channels,
          .out_height = 1,
          .out_width = 1,
          .out_channels = outputs};
}

}  // namespace ddpm
