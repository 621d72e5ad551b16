// Which code runs a convolution on the CPU. Each of the three passes has a table of algorithms,
// best first; the first that supports the problem on this processor runs. A new algorithm is a pair
// of functions and a line in conv2d_algorithms.cpp, and every conv case then tests it
// (tests/framework/cpu/conv2d_algorithms_test.cpp). DDPM_CONV2D=<name> forces one by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "framework/core/tensor.h"

namespace ddpm::cpu {

// The extents of y (N, P, Q, K) = conv2d(x (N, H, W, C), weight (K, R, S, C)). Padding below and to
// the right follows from P and Q.
struct Conv2dProblem {
  DType dtype = DType::kF32;
  int64_t images = 0;                           // N
  int64_t in_height = 0, in_width = 0;          // H, W
  int64_t in_channels = 0;                      // C
  int64_t out_height = 0, out_width = 0;        // P, Q
  int64_t out_channels = 0;                     // K
  int64_t kernel_height = 1, kernel_width = 1;  // R, S
  int64_t stride = 1, pad_top = 0, pad_left = 0;

  int64_t in_pixels() const { return in_height * in_width; }
  int64_t out_pixels() const { return out_height * out_width; }
  int64_t taps() const { return kernel_height * kernel_width; }
  // A matrix product on a reshape of x.
  bool is_pointwise() const {
    return taps() == 1 && stride == 1 && pad_top == 0 && pad_left == 0 && in_height == out_height &&
           in_width == out_width;
  }
};

// A pass reads two of x, weight, y and writes the third. The bias has as many elements as the
// result has channels, or is empty; the weight gradient ignores it.
struct Conv2dOperands {
  Tensor x, weight, bias, y;
};

enum class Conv2dPass { kForward, kBackwardData, kBackwardWeight };
inline constexpr Conv2dPass kConv2dPasses[] = {Conv2dPass::kForward, Conv2dPass::kBackwardData,
                                               Conv2dPass::kBackwardWeight};
const char* name_of(Conv2dPass pass);

struct Conv2dAlgorithm {
  const char* name;
  bool (*supports)(const Conv2dProblem& problem);
  void (*run)(const Conv2dProblem& problem, const Conv2dOperands& operands);
};

std::span<const Conv2dAlgorithm> conv2d_algorithms(Conv2dPass pass);
const Conv2dAlgorithm& choose_conv2d_algorithm(Conv2dPass pass, const Conv2dProblem& problem);
void run_conv2d(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands);

// From here on `name` runs wherever it supports the problem, the usual choice elsewhere. An empty
// name lifts the force; an unknown one is an error that lists the known ones.
void force_conv2d_algorithm(const std::string& name);

// One line per pass for `ddpm doctor`: what a 3x3 convolution in f32 runs on this processor.
std::string describe_conv2d_algorithms();

}  // namespace ddpm::cpu
