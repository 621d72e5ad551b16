// Every CUDA algorithm of every pass and type against the CPU in f64, on shapes that reach both
// tile sizes, vector and scalar loads, tails on every side and sums cut into pieces.
#include "framework/cuda/conv2d_algorithms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <type_traits>

#include "framework/core/memory.h"
#include "framework/core/pool.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/elementwise.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

struct ConvCase {
  const char* name;
  Shape x, weight;  // (N, H, W, C), (K, R, S, C)
  Conv2dGeometry geometry;
  int64_t shift = 0;  // every tensor begins that many elements behind an aligned address
};

// Packs are 4 elements of f32, 8 of bf16.
const ConvCase kCases[] = {
    {"3x3", {2, 7, 5, 12}, {20, 3, 3, 12}, Conv2dGeometry::same(3)},
    {"3x3 in packs", {2, 7, 5, 16}, {24, 3, 3, 16}, Conv2dGeometry::same(3)},
    {"odd channels", {3, 5, 4, 7}, {9, 3, 3, 7}, Conv2dGeometry::same(3)},
    {"one channel", {2, 6, 6, 1}, {5, 3, 3, 1}, Conv2dGeometry::same(3)},
    {"to one channel", {2, 6, 6, 5}, {1, 3, 3, 5}, Conv2dGeometry::same(3)},
    {"image to features", {2, 6, 6, 3}, {72, 3, 3, 3}, Conv2dGeometry::same(3)},
    {"features to image", {2, 6, 6, 72}, {3, 3, 3, 72}, Conv2dGeometry::same(3)},
    {"several tiles", {3, 9, 9, 72}, {80, 3, 3, 72}, Conv2dGeometry::same(3)},
    {"several scalar tiles", {1, 9, 9, 67}, {71, 2, 3, 67}, {1, 1, 1, 0, 1}},
    {"large tiles in pieces", {2, 31, 31, 132}, {100, 3, 3, 132}, Conv2dGeometry::same(3)},
    {"small tiles in pieces", {1, 4, 4, 136}, {72, 3, 3, 136}, Conv2dGeometry::same(3)},
    {"many large tiles", {1, 130, 130, 72}, {72, 1, 2, 72}, {1, 0, 0, 0, 1}},
    {"stride 2 same", {2, 8, 6, 8}, {12, 3, 3, 8}, Conv2dGeometry::same(3, 2)},
    {"stride 2 odd extents", {3, 9, 7, 40}, {72, 3, 3, 40}, {2, 1, 1, 1, 1}},
    {"up-sampling", {2, 8, 12, 24}, {40, 4, 4, 24}, {2, 1, 1, 1, 1}},
    {"stride 3 skips pixels", {1, 8, 7, 8}, {8, 2, 2, 8}, {3, 0, 0, 0, 0}},
    {"stride beyond the image", {2, 2, 3, 8}, {8, 1, 1, 8}, {5, 0, 0, 0, 0}},
    {"padding beyond the kernel", {1, 3, 3, 8}, {8, 2, 2, 8}, {1, 3, 0, 2, 4}},
    {"1x5", {2, 3, 7, 4}, {8, 1, 5, 4}, {1, 0, 2, 0, 2}},
    {"unaligned", {2, 5, 5, 8}, {16, 3, 3, 8}, Conv2dGeometry::same(3), 1},
    {"pointwise", {2, 5, 7, 40}, {72, 1, 1, 40}, {}},
    {"pointwise odd", {3, 3, 3, 33}, {5, 1, 1, 33}, {}},
    {"pointwise few rows", {3, 1, 1, 264}, {136, 1, 1, 264}, {}},
    {"pointwise in pieces", {1, 1, 3, 1032}, {72, 1, 1, 1032}, {}},
    {"pointwise unaligned", {2, 5, 7, 40}, {72, 1, 1, 40}, {}, 1},
};

template <class T>
Tensor copy_to(const Tensor& values, Device device, int64_t shift) {
  std::vector<T> shifted(static_cast<size_t>(shift), T(0));
  for (float value : values.to_host<float>()) shifted.push_back(static_cast<T>(value));
  const int64_t count = static_cast<int64_t>(shifted.size());
  return Tensor::from_host(shifted, {count}, device).view(shift, values.shape());
}

const Tensor& result_of(Conv2dPass pass, const Conv2dOperands& o) {
  return pass == Conv2dPass::kForward ? o.y : pass == Conv2dPass::kBackwardData ? o.x : o.weight;
}

// All operands with values, the result's as well: what is not overwritten shows. They are the same
// in every type where they are rounded to bf16. `addends` is a set of bits.
template <class T>
Conv2dOperands operands_of(const ConvCase& c, Conv2dPass pass, Device device, int addends,
                           bool rounded) {
  const Shape y = c.geometry.output_shape(c.x, c.weight);
  const int64_t channels = pass == Conv2dPass::kForward ? c.weight[0] : c.weight[3];
  const OpCase values{.name = c.name,
                      .inputs = {{c.x}, {c.weight}, {y}, {{channels}}, {{y[0], y[3]}}, {y}},
                      .run = {}};
  const std::vector<Tensor> in = make_inputs(values, DType::kF32, Device::kCpu, {}, rounded);
  const auto copy = [&]<class Element>(size_t i, Element) {
    return copy_to<Element>(in[i], device, c.shift);
  };
  const bool is_forward = pass == Conv2dPass::kForward;
  Conv2dOperands o{copy(0, T{}), {}, {}, copy(2, T{})};
  if (pass == Conv2dPass::kBackwardWeight)
    o.weight = copy(1, Accumulator<T>{});
  else
    o.weight = copy(1, T{});
  if (pass != Conv2dPass::kBackwardWeight && addends & 1) o.bias = copy(3, Accumulator<T>{});
  if (is_forward && addends & 2) o.per_sample = copy(4, T{});
  if (is_forward && addends & 4) o.residual = copy(5, T{});
  return o;
}

std::vector<double> to_f64(const Tensor& t) { return cast(t, DType::kF64).to_host<double>(); }

struct Parameter {
  Conv2dPass pass;
  Conv2dAlgorithm algorithm;
};

class CudaConv2d : public Cuda, public ::testing::WithParamInterface<Parameter> {
 protected:
  // Compares the algorithm in type T with the CPU's in f64.
  template <class T>
  void expect_close(double tolerance) {
    const auto& [pass, algorithm] = GetParam();
    constexpr bool kRounded = std::is_same_v<T, bf16>;
    int cases = 0;
    for (const ConvCase& c : kCases) {
      const int addends = 7 - cases % 8;
      const Conv2dOperands device = operands_of<T>(c, pass, Device::kCuda, addends, kRounded);
      Conv2dProblem problem = conv2d_problem(device.x, device.weight, device.y, c.geometry);
      if (!algorithm.supports(problem)) continue;
      ++cases;
      algorithm.run(problem, device);
      const std::vector<double> actual = to_f64(result_of(pass, device));
#ifndef DDPM_CUDA_ON_HOST  // where the order of threads never changes
      algorithm.run(problem, device);
      EXPECT_EQ(actual, to_f64(result_of(pass, device))) << c.name << ", run again";
#endif

      const Conv2dOperands host = operands_of<double>(c, pass, Device::kCpu, addends, kRounded);
      problem.dtype = DType::kF64;
      cpu::run_conv2d(pass, problem, host);
      const std::vector<double> expected = result_of(pass, host).template to_host<double>();
      double largest = 0;
      for (double e : expected) largest = std::max(largest, std::abs(e));
      for (size_t i = 0; i < actual.size(); ++i)
        ASSERT_LE(std::abs(actual[i] - expected[i]), tolerance * largest)
            << c.name << ", element " << i << ": " << actual[i] << " instead of " << expected[i];
    }
    if (cases == 0) GTEST_SKIP() << "not for " << name_of(dtype_of<T>);
    EXPECT_GE(cases, 4);
  }

 private:
#ifdef DDPM_CUDA_ON_HOST
  void SetUp() override { pool_->use_guards(); }  // the host can read them
#endif

  std::shared_ptr<Pool> pool_ = Pool::create(Device::kCuda);
  PoolScope scope_{pool_};
};

// Sums of up to 33800 products of numbers up to 1, rounded to 2^-24 each.
TEST_P(CudaConv2d, F32MatchesF64OfTheCpu) { expect_close<float>(4e-6); }
TEST_P(CudaConv2d, F64MatchesTheCpu) { expect_close<double>(1e-14); }
// Results are rounded once, by at most 2^-9 of the power of 2 above. Weight gradients are sums in
// f32.
TEST_P(CudaConv2d, Bf16MatchesF64OfTheCpu) {
  expect_close<bf16>(GetParam().pass == Conv2dPass::kBackwardWeight ? 4e-6 : 0x1p-8);
}

std::vector<Parameter> parameters() {
  std::vector<Parameter> all;
  for (Conv2dPass pass : kConv2dPasses)
    for (const Conv2dAlgorithm& algorithm : cuda::conv2d_algorithms(pass))
      all.push_back({pass, algorithm});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, CudaConv2d, ::testing::ValuesIn(parameters()), [](const auto& test) {
  return fmt::format("{}_{}", test.param.algorithm.name, name_of(test.param.pass));
});

Conv2dProblem problem_of(DType dtype, int64_t kernel) {
  const Tensor x = Tensor::empty({2, 4, 4, 8}, dtype, Device::kCpu);
  return conv2d_problem(x, Tensor::empty({8, kernel, kernel, 8}, dtype, Device::kCpu), x,
                        Conv2dGeometry::same(static_cast<int>(kernel)));
}

std::string chosen(DType dtype, int64_t kernel, Conv2dPass pass) {
  return cpu::choose_conv2d_algorithm(cuda::conv2d_algorithms(pass), pass,
                                      problem_of(dtype, kernel))
      .name;
}

class CudaConv2dAlgorithms : public Cuda {
 protected:
  void TearDown() override { cpu::force_conv2d_algorithm(""); }
};

TEST_F(CudaConv2dAlgorithms, ChoiceFollowsTypeAndShape) {
  cpu::force_conv2d_algorithm("");
  for (Conv2dPass pass : kConv2dPasses) {
    for (DType dtype : {DType::kF32, DType::kF64}) {
      EXPECT_EQ(chosen(dtype, 1, pass), "cublas");
      EXPECT_EQ(chosen(dtype, 3, pass), "implicit_gemm");
    }
    if (memory::gpu_info().capability >= 80) {
      EXPECT_EQ(chosen(DType::kBf16, 3, pass), "mma");
    }
  }
}

TEST_F(CudaConv2dAlgorithms, ForceChoosesByNameWhereItIsKnown) {
  const Conv2dProblem pointwise = problem_of(DType::kF32, 1);
  const auto chosen_by_cpu = [&] {
    return std::string(cpu::choose_conv2d_algorithm(Conv2dPass::kForward, pointwise).name);
  };
  cpu::force_conv2d_algorithm("");
  const std::string usual_of_cpu = chosen_by_cpu();
  cpu::force_conv2d_algorithm("implicit_gemm");
  EXPECT_EQ(chosen(DType::kF32, 1, Conv2dPass::kForward), "implicit_gemm");
  EXPECT_EQ(chosen_by_cpu(), usual_of_cpu);
}

TEST_F(CudaConv2dAlgorithms, DescriptionNamesThoseOfThisBackend) {
  const std::string text = cpu::describe_conv2d_algorithms(cuda::conv2d_algorithms);
  for (Conv2dPass pass : kConv2dPasses)
    EXPECT_THAT(text, ::testing::HasSubstr(fmt::format("conv2d {}: implicit_gemm", name_of(pass))));
}

}  // namespace
}  // namespace ddpm::testing
