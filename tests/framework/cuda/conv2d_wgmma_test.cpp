// The Hopper convolution against the f64 of the CPU: all passes, both strides, all tile sizes,
// every way in which 64 pixels make a box, ragged tiles on either side, and depths cut into pieces.
// Skipped on other cards than Hopper's.
#include "framework/cuda/conv2d_wgmma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/core/pool.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cuda/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "framework/ops/resample.h"
#include "framework/ops/upsample_conv2d.h"
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
// Stride 2. The phases of backward_data have 4, 2, 2 and 1 taps of the 3x3 kernel, 4 each of the
// 4x4 kernel, and one each of the 2x2 kernel.
const Conv2dGeometry kHalf = Conv2dGeometry::same(3, 2), kDouble = Conv2dGeometry::same(4, 2);
const WgmmaCase kStrideCases[] = {
    {"32 to 16", {1, 32, 32, 64}, {128, 3, 3, 64}, kHalf},
    {"16 to 8 and a ragged tile", {3, 16, 16, 128}, {64, 3, 3, 128}, kHalf},
    {"8 to 4 and ragged boxes", {7, 8, 8, 192}, {128, 3, 3, 192}, kHalf},
    {"16 to 32", {1, 32, 32, 64}, {64, 4, 4, 64}, kDouble},
    {"8 to 16 and ragged columns", {2, 16, 16, 64}, {192, 4, 4, 64}, kDouble},
    {"4 to 8 and ragged boxes", {5, 8, 8, 192}, {128, 4, 4, 192}, kDouble},
    {"a line per box", {1, 4, 128, 64}, {64, 3, 3, 64}, kHalf},
    {"not square", {3, 4, 16, 64}, {64, 3, 3, 64}, kHalf},
    {"not square nor alike padded", {3, 8, 8, 64}, {64, 4, 3, 64}, {2, 2, 1, 0, 0}},
    {"taps that do not meet", {2, 8, 8, 64}, {64, 2, 2, 64}, {2, 0, 0, 0, 0}},
    {"pieces of phases of unlike depth", {2, 8, 8, 256}, {320, 3, 3, 256}, kHalf},
    {"pieces of phases of like depth", {2, 8, 8, 320}, {256, 4, 4, 320}, kDouble},
};
// Tiles of 128 x 256 and 256 x 128 run where there is one for each of 132 multiprocessors: x is
// large. Blocks go through many tiles.
const WgmmaCase kWideCase{"wide", {17, 32, 32, 64}, {256, 1, 2, 64}, {1, 0, 1, 0, 0}};
const WgmmaCase kHighCase{"high", {33, 32, 32, 64}, {128, 1, 1, 64}, {}};
const WgmmaCase kWideCaseToX{"wide", {17, 32, 32, 256}, {64, 1, 2, 256}, {1, 0, 1, 0, 0}};
const WgmmaCase kHighCaseToX{"high", {33, 32, 32, 128}, {64, 1, 1, 128}, {}};
const WgmmaCase kWideHalfCase{"wide", {17, 64, 64, 64}, {256, 2, 2, 64}, {2, 0, 0, 0, 0}};
const WgmmaCase kWideHalfCaseToX{"wide", {17, 32, 32, 256}, {64, 3, 3, 256}, kHalf};
const WgmmaCase kHighDoubleCaseToX{"high", {33, 32, 32, 128}, {64, 4, 4, 128}, kDouble};

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

void expect_forward(const WgmmaCase& c, bool has_addends = true) {
  const auto operands = [&](DType dtype, Device device) {
    const Values v = values_of(c, dtype, device);
    if (!has_addends) return Conv2dOperands{v.x, v.weight, {}, v.y};
    return Conv2dOperands{v.x, v.weight, v.bias_of_y, v.y, v.per_sample, v.residual};
  };
  expect_close<bf16>(c, Conv2dPass::kForward, cuda::wgmma_forward,
                     operands(DType::kBf16, Device::kCuda), operands(DType::kF64, Device::kCpu),
                     &Conv2dOperands::y);
}

void expect_backward_data(const WgmmaCase& c, bool has_addends = true) {
  const auto operands = [&](DType dtype, Device device) {
    const Values v = values_of(c, dtype, device);
    return Conv2dOperands{v.x, v.weight, has_addends ? v.bias_of_x : Tensor{}, v.y};
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
TEST_F(CudaConv2dWgmma, StridedForward) {
  for (const WgmmaCase& c : kStrideCases)
    for (bool has_addends : {true, false}) expect_forward(c, has_addends);
}
TEST_F(CudaConv2dWgmma, StridedBackwardData) {
  for (const WgmmaCase& c : kStrideCases)
    for (bool has_addends : {true, false}) expect_backward_data(c, has_addends);
}
TEST_F(CudaConv2dWgmma, StridedBackwardWeight) {
  for (const WgmmaCase& c : kStrideCases) expect_backward_weight(c);
}
TEST_F(CudaConv2dWgmma, LargeTiles) {
  expect_forward(kWideCase);
  expect_forward(kHighCase);
  expect_backward_data(kWideCaseToX);
  expect_backward_data(kHighCaseToX);
}
// Tasks of four panels fill the ring exactly, so that the first consumer leads from tile to tile.
TEST_F(CudaConv2dWgmma, LargeStridedTiles) {
  expect_forward(kWideHalfCase);
  expect_backward_data(kWideHalfCaseToX);
  expect_backward_data(kHighDoubleCaseToX);
}

// y and the gradients of x, weight and bias of an up-sampling convolution. The weights have few
// digits: sums of four of them are bf16 too.
template <class T>
std::vector<std::vector<double>> outputs_and_gradients(
    Device device, const Shape& x, int64_t outputs,
    Tensor (*run)(const Tensor& x, const Tensor& weight, const Tensor& bias)) {
  const OpCase values{
      .name = "upsampled",
      .inputs = {{x}, {.shape = {outputs}, .is_f32 = true}, {{x[0], x[1] * 2, x[2] * 2, outputs}}},
      .run = {}};
  const std::vector<Tensor> in = make_inputs(values, dtype_of<T>, device, {}, true);
  std::vector<T> weights;
  for (int64_t i = 0; i < outputs * 9 * x[3]; ++i)
    weights.push_back(static_cast<T>(static_cast<float>(i * i % 17 - 8) / 8));
  Tensor weight = Tensor::from_host(weights, {outputs, 3, 3, x[3]}, device);
  weight.set_requires_grad(true);
  Tape tape;
  const Tensor y = run(in[0], weight, in[1]);
  const auto wide = [](const Tensor& t) { return cast(t, accumulator_of(t.dtype())); };
  tape.backward(sum(multiply(wide(y), wide(in[2].detach()))));
  std::vector<std::vector<double>> results;
  for (const Tensor& t : {y, in[0].grad(), weight.grad(), in[1].grad()})
    results.push_back(cast(t, DType::kF64).to_host<double>());
  return results;
}

// Forward is backward_data of the smeared kernel, and backward is forward and backward_weight.
TEST_F(CudaConv2dWgmma, UpsampleConv2d) {
  const struct {
    Shape x;
    int64_t outputs;
  } cases[] = {{{3, 4, 4, 128}, 64}, {{2, 8, 8, 64}, 128}, {{1, 16, 16, 64}, 64}};
  for (const auto& c : cases) {
    const Shape big{c.x[0], c.x[1] * 2, c.x[2] * 2, c.outputs};
    const auto bf16_of = [](const Shape& shape) {
      return Tensor::empty(shape, DType::kBf16, Device::kCpu);
    };
    const Conv2dProblem problem =
        conv2d_problem(bf16_of(big), bf16_of({c.x[3], 4, 4, c.outputs}), bf16_of(c.x), kDouble);
    if (!cuda::wgmma_supports(problem)) GTEST_SKIP() << "not a Hopper card";
    for (Conv2dPass pass : kConv2dPasses)
      ASSERT_STREQ(cpu::choose_conv2d_algorithm(cuda::conv2d_algorithms(pass), pass, problem).name,
                   "wgmma");

    const auto actual =
        outputs_and_gradients<bf16>(Device::kCuda, c.x, c.outputs,
                                    [](const Tensor& x, const Tensor& weight, const Tensor& bias) {
                                      return upsample_conv2d(x, weight, bias);
                                    });
    const auto expected = outputs_and_gradients<double>(
        Device::kCpu, c.x, c.outputs,
        [](const Tensor& x, const Tensor& weight, const Tensor& bias) {
          return conv2d(upsample_nearest(x), weight, bias, Conv2dGeometry::same(3));
        });
    constexpr const char* kNames[] = {"y", "dx", "dweight", "dbias"};
    for (size_t k = 0; k < expected.size(); ++k) {
      double largest = 0;
      for (double e : expected[k]) largest = std::max(largest, std::abs(e));
      for (size_t i = 0; i < expected[k].size(); ++i)
        ASSERT_LE(std::abs(actual[k][i] - expected[k][i]),
                  1e-5 * largest + (k < 2 ? 0x1p-8 * std::abs(expected[k][i]) : 0))
            << kNames[k] << " of " << problem.out_height << " lines doubled"
            << ", element " << i << ": " << actual[k][i] << " instead of " << expected[k][i];
    }
  }
}

TEST_F(CudaConv2dWgmma, SupportsWholePanelsAndExtentsThatTheStrideDivides) {
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
  no({0, 8, 8, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));  // no tensor map is that empty
  no({2, 8, 8, 64}, {96, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 8, 8, 64}, {64, 3, 3, 64}, {});
  no({2, 6, 6, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 128, 128, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));
  no({2, 6, 16, 64}, {64, 3, 3, 64}, Conv2dGeometry::same(3));  // 64 pixels cross an image
  const auto yes = [&](Shape x, Shape weight, Conv2dGeometry geometry) {
    EXPECT_TRUE(cuda::wgmma_supports(problem(x, weight, geometry)));
  };
  yes({2, 8, 8, 64}, {64, 3, 3, 64}, kHalf);
  yes({2, 128, 128, 64}, {64, 3, 3, 64}, kHalf);         // y has 64 pixels in a line
  no({2, 6, 6, 64}, {64, 3, 3, 64}, kHalf);              // y is 3 x 3
  no({2, 9, 9, 64}, {64, 3, 3, 64}, {2, 0, 0, 0, 0});    // y is 4 x 4, x has a line more
  no({2, 8, 8, 64}, {64, 1, 1, 64}, {2, 0, 0, 0, 0});    // most of x is reached by no tap
  no({2, 12, 12, 64}, {64, 3, 3, 64}, {3, 0, 0, 0, 0});  // y is 4 x 4, of stride 3
  Conv2dProblem f32 = good;
  f32.dtype = DType::kF32;
  EXPECT_FALSE(cuda::wgmma_supports(f32));
}

}  // namespace
}  // namespace ddpm::testing
