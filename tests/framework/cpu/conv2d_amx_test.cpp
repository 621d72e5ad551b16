// The matrix unit's convolutions on shapes that reach every way through conv2d_amx*.cpp: images
// that are interleaved and such that are not, rows that end within a tile, planes of a stride,
// padded channels, more than one piece and panel. The reference computes in f64 from the same
// values.
#include "framework/cpu/conv2d_amx.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/cpu/amx.h"
#include "framework/cpu/conv2d_tap_gemm.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/elementwise.h"
#include "framework/random/random.h"

#if defined(__x86_64__)

namespace ddpm {
namespace {

struct Layer {
  int64_t images, height, width, in_channels, out_channels;
  int kernel = 3, stride = 1, pad_before = 1, pad_after = 1;
};

constexpr Layer kLayers[] = {
    {1, 4, 4, 32, 32},
    {3, 7, 5, 40, 33},
    {2, 16, 16, 64, 96},
    {5, 8, 8, 32, 64},
    {9, 4, 4, 64, 64},
    {1, 64, 40, 32, 32},
    {2, 5, 6, 3, 20},
    {2, 6, 5, 20, 3},
    {3, 5, 5, 32, 32, 3, 1, 0, 0},
    {2, 9, 13, 32, 32, 3, 2, 0, 1},
    {3, 8, 8, 32, 48, 3, 2, 0, 1},
    {3, 8, 6, 64, 32, 4, 2, 1, 1},
    {2, 20, 34, 33, 40, 5, 1, 2, 2},
    {17, 1, 1, 64, 100, 1, 1, 0, 0},
    {4, 6, 6, 32, 32, 1, 2, 0, 0},
    {8, 3, 3, 32, 32, 2, 3, 0, 0},
    // Channels in so many that pieces of the weight gradient pack x for themselves, and images that
    // are packed in two turns.
    {9, 32, 32, 130, 40},
    // Images in shares; the last in two turns.
    {37, 8, 8, 32, 64},
    {9, 64, 64, 40, 96},
};

Tensor normal(Shape shape, uint32_t site) {
  Tensor t = Tensor::empty(shape, DType::kF32, Device::kCpu);
  fill_normal({1, site, random_counter(0, 0, Device::kCpu)}, t);
  return t;
}

// What each pass reads, rounded to `dtype`.
Conv2dOperands make_operands(const Layer& l, DType dtype) {
  const auto extent = [&](int64_t in) {
    return (in + l.pad_before + l.pad_after - l.kernel) / l.stride + 1;
  };
  const Shape y{l.images, extent(l.height), extent(l.width), l.out_channels};
  const auto rounded = [&](Shape shape, uint32_t site) { return cast(normal(shape, site), dtype); };
  return {rounded({l.images, l.height, l.width, l.in_channels}, 1),
          rounded({l.out_channels, l.kernel, l.kernel, l.in_channels}, 2),
          normal({l.out_channels}, 3),
          rounded(y, 4),
          rounded({l.images, l.out_channels}, 5),
          rounded(y, 6)};
}

Conv2dOperands widened(const Conv2dOperands& o) {
  const auto wide = [](const Tensor& t) { return cast(t, DType::kF64); };
  return {wide(o.x), wide(o.weight), wide(o.bias), wide(o.y), wide(o.per_sample), wide(o.residual)};
}

Conv2dProblem problem_of(const Layer& l, const Conv2dOperands& o) {
  return conv2d_problem(o.x, o.weight, o.y,
                        {l.stride, l.pad_before, l.pad_before, l.pad_after, l.pad_after});
}

using Run = void (*)(const Conv2dProblem&, const Conv2dOperands&);

// Runs the pass on its own result tensor, which replaces the operand of that name.
Tensor run_pass(Conv2dPass pass, const Conv2dProblem& problem, Conv2dOperands o, Run run) {
  Tensor& result = pass == Conv2dPass::kForward        ? o.y
                   : pass == Conv2dPass::kBackwardData ? o.x
                                                       : o.weight;
  const bool is_weight = pass == Conv2dPass::kBackwardWeight;
  result = Tensor::empty(result.shape(),
                         is_weight ? accumulator_of(result.dtype()) : result.dtype(), Device::kCpu);
  if (pass != Conv2dPass::kForward) o.per_sample = o.residual = o.bias = Tensor();
  run(problem, o);
  return result;
}

double relative_error(const Tensor& actual, const Tensor& expected) {
  const auto a = cast(actual, DType::kF64).to_host<double>(), e = expected.to_host<double>();
  double error = 0, size = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    error += (a[i] - e[i]) * (a[i] - e[i]);
    size += e[i] * e[i];
  }
  return std::sqrt(error / size);
}

struct Pass {
  Conv2dPass pass;
  Run amx, reference;
};
constexpr Pass kPasses[] = {
    {Conv2dPass::kForward, cpu::amx_forward, cpu::tap_gemm_forward},
    {Conv2dPass::kBackwardData, cpu::amx_backward_data, cpu::tap_gemm_backward_data},
    {Conv2dPass::kBackwardWeight, cpu::amx_backward_weight, cpu::tap_gemm_backward_weight},
};

class Conv2dAmx : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (!cpu::has_amx()) GTEST_SKIP() << "this processor has no AMX";
  }
};

TEST_P(Conv2dAmx, MatchesF64) {
  for (const Layer& layer : kLayers) {
    const Conv2dOperands operands = make_operands(layer, GetParam()), wide = widened(operands);
    for (const auto& [pass, amx, reference] : kPasses) {
      const double error =
          relative_error(run_pass(pass, problem_of(layer, operands), operands, amx),
                         run_pass(pass, problem_of(layer, wide), wide, reference));
      // Two bf16 parts hold 16 to 17 bits of each operand, and the product of the low parts is left
      // out: three errors of up to 2^-18. bf16 results are rounded to 8 bits, weight gradients stay
      // f32 and have but the rounding of f32 sums.
      const double tolerance = GetParam() == DType::kF32             ? 5e-6
                               : pass == Conv2dPass::kBackwardWeight ? 1e-6
                                                                     : 0x1p-8;
      EXPECT_LE(error, tolerance) << name_of(pass) << " of " << layer.images << " images "
                                  << layer.height << " x " << layer.width << ", "
                                  << layer.in_channels << " -> " << layer.out_channels;
    }
  }
}

TEST_P(Conv2dAmx, SameBitsForAnyThreadCount) {
  const int before = cpu::thread_count();
  for (const Layer& layer : {kLayers[1], kLayers[2], kLayers[4]}) {
    const Conv2dOperands operands = make_operands(layer, GetParam());
    const Conv2dProblem problem = problem_of(layer, operands);
    for (const auto& [pass, amx, reference] : kPasses) {
      cpu::set_thread_count(1);
      const auto one = cast(run_pass(pass, problem, operands, amx), DType::kF64).to_host<double>();
      for (int threads : {2, 3, 8}) {
        cpu::set_thread_count(threads);
        const auto many =
            cast(run_pass(pass, problem, operands, amx), DType::kF64).to_host<double>();
        EXPECT_EQ(many, one) << name_of(pass) << ", " << threads << " threads";
      }
    }
  }
  cpu::set_thread_count(before);
}

// Packed weights are kept for a tensor that requires no gradient, but for one pass, and never where
// training may change the values.
TEST_P(Conv2dAmx, KeptWeightsAreThoseOfTheTensorAndThePass) {
  const Layer layer{2, 6, 6, 32, 32};
  const auto values = [](const Tensor& t) { return cast(t, DType::kF64).to_host<double>(); };
  const auto run_with = [&](const Conv2dOperands& o, Conv2dPass pass) {
    return values(
        run_pass(pass, problem_of(layer, o), o,
                 pass == Conv2dPass::kForward ? cpu::amx_forward : cpu::amx_backward_data));
  };
  const Conv2dOperands kept = make_operands(layer, GetParam());
  for (Conv2dPass pass : {Conv2dPass::kForward, Conv2dPass::kForward, Conv2dPass::kBackwardData,
                          Conv2dPass::kForward})
    EXPECT_EQ(run_with(kept, pass), run_with(make_operands(layer, GetParam()), pass))
        << name_of(pass);

  Conv2dOperands trained = make_operands(layer, GetParam());
  trained.weight.set_requires_grad(true);
  const auto before = run_with(trained, Conv2dPass::kBackwardData);
  trained.weight.copy_from(scale(trained.weight.detach(), 2));
  auto twice = before;
  for (double& value : twice) value *= 2;
  EXPECT_EQ(run_with(trained, Conv2dPass::kBackwardData), twice);
}

// Infinities and NaN of padding, or of a neighbour in an interleaved group, must not leak.
TEST_P(Conv2dAmx, ANonFinitePixelStaysInItsImage) {
  const Layer layer{2, 4, 4, 32, 32};
  Conv2dOperands operands = make_operands(layer, DType::kF32);
  operands.x.data<float>()[operands.x.numel() - 1] = INFINITY;
  const Conv2dProblem problem = problem_of(layer, operands);
  const auto y =
      run_pass(Conv2dPass::kForward, problem, operands, cpu::amx_forward).to_host<float>();
  for (size_t i = 0; i < y.size() / 2; ++i) ASSERT_TRUE(std::isfinite(y[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Types, Conv2dAmx, ::testing::Values(DType::kF32, DType::kBf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace ddpm

#endif
