// The Hopper convolution against the f64 of the CPU: all passes, all tile sizes, every way in which
// 64 pixels make a box, ragged tiles on either side, and depths cut into pieces. Skipped on other
// cards than Hopper's.
#include "framework/cuda/conv2d_wgmma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/core/pool.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

struct WgmmaCase {
  const char* name;
  Shape x, weight;  // (N, H, W, C), (K, R, S, C)
  Conv2dGeometry geometry;
};

const Conv2dGeometry k3x3 = Conv2dGeometry::same(3);
const WgmmaCase kCases[] = {
    {"an image per box", {2, 8, 8, 64}, {128, 3, 3, 64}, k3x3},
    {"images in a box and a ragged tile", {7, 4, 4, 128}, {64, 3, 3, 128}, k3x3},
    {"lines in a box and ragged columns", {1, 16, 16, 64}, {192, 3, 3, 64}, k3x3},
    {"a line per box", {1, 3, 64, 64}, {64, 3, 3, 64}, k3x3},
    {"two lines per box", {1, 4, 32, 128}, {64, 3, 3, 128}, k3x3},
    {"not square", {3, 2, 8, 64}, {64, 3, 3, 64}, k3x3},
    {"a phase of upsampling", {2, 8, 8, 64}, {64, 2, 2, 64}, {1, 1, 0, 0, 1}},
    {"pieces of a deep sum", {2, 4, 4, 256}, {320, 3, 3, 256}, k3x3},
    {"pointwise", {3, 5, 7, 192}, {128, 1, 1, 192}, {}},
};
// Tiles of 128 x 256 and 256 x 128 run where there is one for each of 132 multiprocessors: x is
// large. Blocks go through many tiles.
const WgmmaCase kWideCase{"wide", {17, 32, 32, 64}, {256, 1, 2, 64}, {1, 0, 1, 0, 0}};
const WgmmaCase kHighCase{"high", {33, 32, 32, 64}, {128, 1, 1, 64}, {}};
const WgmmaCase kWideCaseToX{"wide", {17, 32, 32, 256}, {64, 1, 2, 256}, {1, 0, 1, 0, 0}};
const WgmmaCase kHighCaseToX{"high", {33, 32, 32, 128}, {64, 1, 1, 128}, {}};

struct Values {
  Tensor x, weight, y, bias_of_y, bias_of_x, per_sample, residual;
};

// The same values on both devices: those that bf16 has.
Values values_of(const WgmmaCase& c, DType dtype, Device device) {
  const Shape y = c.geometry.output_shape(c.x, c.weight);
  const int64_t outputs = c.weight[0], inputs = c.weight[3];
  const OpCase values{.name = c.name,
                      .inputs = {{c.x},
                                 {c.weight},
                                 {y},
                                 {.shape = {outputs}, .is_f32 = true},
                                 {.shape = {inputs}, .is_f32 = true},
                                 {{y[0], outputs}, -9, 9},
                                 {y, -9, 9}},
                      .run = {}};
  const std::vector<Tensor> t = make_inputs(values, dtype, device, {}, true);
  return {t[0], t[1], t[2], t[3], t[4], t[5], t[6]};
}

using RunPass = void (*)(const Conv2dProblem&, const Conv2dOperands&);

// Runs a pass on both devices. Each result must be the exact sum, added up in f32 and rounded once.
template <class T>
void expect_close(const WgmmaCase& c, Conv2dPass pass, RunPass run, const Conv2dOperands& device,
                  const Conv2dOperands& host, Tensor Conv2dOperands::*result) {
  const auto problem_of = [&](const Conv2dOperands& o) {
    return conv2d_problem(o.x, o.weight, o.y, c.geometry);
  };
  Conv2dProblem problem = problem_of(device);
  ASSERT_EQ(problem.dtype, DType::kBf16);
  if (!cuda::wgmma_supports(problem)) GTEST_SKIP() << "not a Hopper card";
  run(problem, device);
  const std::vector<T> actual = (device.*result).template to_host<T>();

  problem = problem_of(host);
  cpu::choose_conv2d_algorithm(pass, problem).run(problem, host);
  const std::vector<double> expected = (host.*result).template to_host<double>();
  double largest = 0;
  for (double e : expected) largest = std::max(largest, std::abs(e));
  constexpr double kSumTolerance = 1e-5;  // of the largest: thousands of additions, 2^-24 each
  constexpr double kRounding = std::is_same_v<T, bf16> ? 0x1p-8 : 0;
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_LE(std::abs(actual[i] - expected[i]),
              kSumTolerance * largest + kRounding * std::abs(expected[i]))
        << c.name << ", element " << i << ": " << actual[i] << " instead of " << expected[i];
}

void expect_forward(const WgmmaCase& c) {
  const auto operands = [&](DType dtype, Device device) {
    const Values v = values_of(c, dtype, device);
    return Conv2dOperands{v.x, v.weight, v.bias_of_y, v.y, v.per_sample, v.residual};
  };
  expect_close<bf16>(c, Conv2dPass::kForward, cuda::wgmma_forward,
                     operands(DType::kBf16, Device::kCuda), operands(DType::kF64, Device::kCpu),
                     &Conv2dOperands::y);
}

void expect_backward_data(const WgmmaCase& c) {
  const auto operands = [&](DType dtype, Device device) {
    const Values v = values_of(c, dtype, device);
    return Conv2dOperands{v.x, v.weight, v.bias_of_x, v.y};
  };
  expect_close<bf16>(c, Conv2dPass::kBackwardData, cuda::wgmma_backward_data,
                     operands(DType::kBf16, Device::kCuda), operands(DType::kF64, Device::kCpu),
                     &Conv2dOperands::x);
}

void expect_backward_weight(const WgmmaCase& c) {
  const auto operands = [&](DType dtype, Device device) {
    const Values v = values_of(c, dtype, device);
    return Conv2dOperands{v.x, Tensor::empty(c.weight, accumulator_of(dtype), device), {}, v.y};
  };
  expect_close<float>(c, Conv2dPass::kBackwardWeight, cuda::wgmma_backward_weight,
                      operands(DType::kBf16, Device::kCuda), operands(DType::kF64, Device::kCpu),
                      &Conv2dOperands::weight);
}

class CudaConv2dWgmma : public Cuda {};

TEST_F(CudaConv2dWgmma, Forward) {
  for (const WgmmaCase& c : kCases) expect_forward(c);
}
TEST_F(CudaConv2dWgmma, BackwardData) {
  for (const WgmmaCase& c : kCases) expect_backward_data(c);
}
TEST_F(CudaConv2dWgmma, BackwardWeight) {
  for (const WgmmaCase& c : kCases) expect_backward_weight(c);
}
TEST_F(CudaConv2dWgmma, LargeTiles) {
  expect_forward(kWideCase);
  expect_forward(kHighCase);
  expect_backward_data(kWideCaseToX);
  expect_backward_data(kHighCaseToX);
}

TEST_F(CudaConv2dWgmma, SupportsStride1SameExtentsAndWholePanels) {
  const auto problem = [](Shape x, Shape weight, Conv2dGeometry geometry) {
    const Tensor y = Tensor::empty(geometry.output_shape(x, weight), DType::kBf16, Device::kCpu);
    return conv2d_problem(Tensor::empty(x, DType::kBf16, Device::kCpu),
                          Tensor::empty(weight, DType::kBf16, Device::kCpu), y, geometry);
  };
  const Conv2dProblem good = problem({2, 8, 8, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));
  if (!cuda::wgmma_supports(good)) GTEST_SKIP() << "not a Hopper card";
  const auto no = [&](Shape x, Shape weight, Conv2dGeometry geometry) {
    EXPECT_FALSE(cuda::wgmma_supports(problem(x, weight, geometry)));
  };
  no({2, 8, 8, 32}, {64, 3, 3, 32}, Conv2dGeometry::same(3));
  no({2, 8, 8, 64}, {96, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 8, 8, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3, 2));
  no({2, 8, 8, 64}, {64, 3, 3, 64}, {});
  no({2, 6, 6, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 128, 128, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 6, 16, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));  // 64 pixels cross an image
  Conv2dProblem f32 = good;
  f32.dtype = DType::kF32;
  EXPECT_FALSE(cuda::wgmma_supports(f32));
}

}  // namespace
}  // namespace ddpm::testing
