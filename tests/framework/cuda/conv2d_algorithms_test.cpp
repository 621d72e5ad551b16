// Every CUDA algorithm of every pass against the plain products of the CPU in f64, on shapes that
// reach both tile sizes, vector and scalar loads, tails on every side and sums cut into pieces.
#include "framework/cuda/conv2d_algorithms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <type_traits>

#include "framework/core/pool.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
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

const ConvCase kCases[] = {
    {"3x3", {2, 7, 5, 12}, {20, 3, 3, 12}, Conv2dGeometry::same(3)},
    {"odd channels", {3, 5, 4, 7}, {9, 3, 3, 7}, Conv2dGeometry::same(3)},
    {"one channel", {2, 6, 6, 1}, {5, 3, 3, 1}, Conv2dGeometry::same(3)},
    {"to one channel", {2, 6, 6, 5}, {1, 3, 3, 5}, Conv2dGeometry::same(3)},
    {"several tiles", {3, 9, 9, 68}, {76, 3, 3, 68}, Conv2dGeometry::same(3)},
    {"several scalar tiles", {1, 9, 9, 67}, {71, 2, 3, 67}, {1, 1, 1, 0, 1}},
    {"large tiles in pieces", {2, 31, 31, 132}, {100, 3, 3, 132}, Conv2dGeometry::same(3)},
    {"small tiles in pieces", {1, 4, 4, 132}, {68, 3, 3, 132}, Conv2dGeometry::same(3)},
    {"stride 2 same", {2, 8, 6, 8}, {12, 3, 3, 8}, Conv2dGeometry::same(3, 2)},
    {"stride 2 odd extents", {3, 9, 7, 40}, {72, 3, 3, 40}, {2, 1, 1, 1, 1}},
    {"stride 3 skips pixels", {1, 8, 7, 4}, {4, 2, 2, 4}, {3, 0, 0, 0, 0}},
    {"stride beyond the image", {2, 2, 3, 4}, {4, 1, 1, 4}, {5, 0, 0, 0, 0}},
    {"padding beyond the kernel", {1, 3, 3, 4}, {4, 2, 2, 4}, {1, 3, 0, 2, 4}},
    {"1x5", {2, 3, 7, 4}, {8, 1, 5, 4}, {1, 0, 2, 0, 2}},
    {"unaligned", {2, 5, 5, 8}, {12, 3, 3, 8}, Conv2dGeometry::same(3), 1},
    {"pointwise", {2, 5, 7, 36}, {68, 1, 1, 36}, {}},
    {"pointwise odd", {3, 3, 3, 33}, {5, 1, 1, 33}, {}},
    {"pointwise few rows", {3, 1, 1, 260}, {132, 1, 1, 260}, {}},
    {"pointwise unaligned", {2, 5, 7, 36}, {68, 1, 1, 36}, {}, 1},
};

template <class T>
Tensor copy_to(const std::vector<T>& values, Shape shape, Device device, int64_t shift) {
  std::vector<T> shifted(static_cast<size_t>(shift), T(0));
  shifted.insert(shifted.end(), values.begin(), values.end());
  const int64_t count = static_cast<int64_t>(shifted.size());
  return Tensor::from_host(shifted, {count}, device).view(shift, shape);
}

const Tensor& result_of(Conv2dPass pass, const Conv2dOperands& o) {
  return pass == Conv2dPass::kForward ? o.y : pass == Conv2dPass::kBackwardData ? o.x : o.weight;
}

// All operands with values, the result's as well: what is not overwritten shows.
template <class T>
Conv2dOperands operands_of(const ConvCase& c, Conv2dPass pass, Device device, bool has_bias) {
  const Shape y = c.geometry.output_shape(c.x, c.weight);
  OpCase values{.name = c.name, .inputs = {{c.x}, {c.weight}, {y}}, .run = {}};
  values.inputs.push_back({{pass == Conv2dPass::kForward ? c.weight[0] : c.weight[3]}});
  std::vector<Tensor> tensors;
  for (const Tensor& t : make_inputs(values, DType::kF32)) {
    const std::vector<float> host = t.to_host<float>();  // the same numbers in f32 and f64
    tensors.push_back(
        copy_to<T>(std::vector<T>(host.begin(), host.end()), t.shape(), device, c.shift));
  }
  return {tensors[0], tensors[1], has_bias ? tensors[3] : Tensor(), tensors[2]};
}

struct Parameter {
  Conv2dPass pass;
  Conv2dAlgorithm algorithm;
};

class CudaConv2d : public Cuda, public ::testing::WithParamInterface<Parameter> {
 protected:
  // Compares the algorithm in type T with the CPU's last algorithm, which supports everything.
  template <class T>
  void expect_close(double tolerance) {
    const auto& [pass, algorithm] = GetParam();
    int cases = 0;
    for (const ConvCase& c : kCases) {
      const bool has_bias = pass != Conv2dPass::kBackwardWeight && cases % 2 == 0;
      const Conv2dOperands device = operands_of<T>(c, pass, Device::kCuda, has_bias);
      Conv2dProblem problem = conv2d_problem(device.x, device.weight, device.y, c.geometry);
      if (!algorithm.supports(problem)) continue;
      ++cases;
      algorithm.run(problem, device);
      const std::vector<T> actual = result_of(pass, device).template to_host<T>();
      if constexpr (std::is_same_v<T, float>) {
        algorithm.run(problem, device);
        EXPECT_EQ(actual, result_of(pass, device).template to_host<T>()) << c.name << ", run again";
      }

      const Conv2dOperands host = operands_of<double>(c, pass, Device::kCpu, has_bias);
      problem.dtype = DType::kF64;
      cpu::conv2d_algorithms(pass).back().run(problem, host);
      const std::vector<double> expected = result_of(pass, host).to_host<double>();
      double largest = 0;
      for (double e : expected) largest = std::max(largest, std::abs(e));
      for (size_t i = 0; i < actual.size(); ++i)
        ASSERT_LE(std::abs(actual[i] - expected[i]), tolerance * largest)
            << c.name << ", element " << i << ": " << actual[i] << " instead of " << expected[i];
    }
    EXPECT_GE(cases, 4);
  }

 private:
#ifdef DDPM_CUDA_ON_HOST
  void SetUp() override { pool_->use_guards(); }  // the host can read them
#endif

  std::shared_ptr<Pool> pool_ = Pool::create(Device::kCuda);
  PoolScope scope_{pool_};
};

// Sums of up to 1922 products of numbers up to 1, rounded to 2^-24 each.
TEST_P(CudaConv2d, F32MatchesF64OfTheCpu) { expect_close<float>(4e-6); }
TEST_P(CudaConv2d, F64MatchesTheCpu) { expect_close<double>(1e-14); }

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

TEST(CudaConv2dAlgorithms, ForceChoosesByNameWhereItIsKnown) {
  const Conv2dProblem pointwise{.images = 2,
                                .in_height = 4,
                                .in_width = 4,
                                .in_channels = 4,
                                .out_height = 4,
                                .out_width = 4,
                                .out_channels = 4};
  const auto chosen_by = [&](auto& tables) {
    const auto table = tables(Conv2dPass::kForward);
    return std::string(cpu::choose_conv2d_algorithm(table, Conv2dPass::kForward, pointwise).name);
  };
  cpu::force_conv2d_algorithm("");
  const std::string usual_of_cpu = chosen_by(cpu::conv2d_algorithms);
  EXPECT_EQ(chosen_by(cuda::conv2d_algorithms), "cublas");
  cpu::force_conv2d_algorithm("implicit_gemm");
  EXPECT_EQ(chosen_by(cuda::conv2d_algorithms), "implicit_gemm");
  EXPECT_EQ(chosen_by(cpu::conv2d_algorithms), usual_of_cpu);
  cpu::force_conv2d_algorithm("");
}

TEST(CudaConv2dAlgorithms, DescriptionNamesThoseOfThisBackend) {
  const std::string text = cpu::describe_conv2d_algorithms(cuda::conv2d_algorithms);
  for (Conv2dPass pass : kConv2dPasses)
    EXPECT_THAT(text, ::testing::HasSubstr(fmt::format("conv2d {}: implicit_gemm", name_of(pass))));
}

}  // namespace
}  // namespace ddpm::testing
