// Every algorithm under every convolution and linear case of the op suite.
#include "framework/cpu/conv2d_algorithms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "framework/autograd/tape.h"
#include "framework/core/pool.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/conv2d.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

constexpr Conv2dProblem kProblem{.images = 1,
                                 .in_height = 4,
                                 .in_width = 4,
                                 .in_channels = 4,
                                 .out_height = 4,
                                 .out_width = 4,
                                 .out_channels = 4};

// Wide and large enough for algorithms that only pay on such a problem.
constexpr Conv2dProblem kLargeProblem{.images = 8,
                                      .in_height = 32,
                                      .in_width = 32,
                                      .in_channels = 64,
                                      .out_height = 32,
                                      .out_width = 32,
                                      .out_channels = 64,
                                      .kernel_height = 3,
                                      .kernel_width = 3,
                                      .pad_top = 1,
                                      .pad_left = 1};

class ForcedAlgorithm {
 public:
  explicit ForcedAlgorithm(const std::string& name) { cpu::force_conv2d_algorithm(name); }
  ~ForcedAlgorithm() { cpu::force_conv2d_algorithm(""); }
};

// All algorithms of this build that run on this processor.
std::set<std::string> runnable_algorithms() {
  std::set<std::string> names;
  for (Conv2dPass pass : kConv2dPasses)
    for (const Conv2dAlgorithm& algorithm : cpu::conv2d_algorithms(pass))
      if (algorithm.supports(kProblem) || algorithm.supports(kLargeProblem))
        names.insert(algorithm.name);
  return names;
}

// y and the gradients of sum(y * y): every element of dy is different.
std::vector<Tensor> forward_and_gradients(const Tensors& in, const OpCase& c) {
  std::vector<Tensor> results;
  {
    Tape tape;
    const Tensor y = c.run(in);
    results.push_back(y);
    tape.backward(sum(multiply(y, y)));
  }
  for (const Tensor& x : in) results.push_back(x.grad());
  return results;
}

class Algorithm : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { pool_->use_guards(); }

 private:
  std::shared_ptr<Pool> pool_ = Pool::create(Device::kCpu);
  PoolScope scope_{pool_};
};

TEST_P(Algorithm, AgreesWithF64) {
  int cases = 0;
  for (const OpCase& c : op_cases()) {
    if (!c.name.starts_with("Conv2d") && !c.name.starts_with("Linear")) continue;
    ++cases;
    // No algorithm but the reference handles f64: the expected values do not depend on the force.
    const auto expected = forward_and_gradients(make_inputs(c, DType::kF64), c);
    const ForcedAlgorithm forced(GetParam());
    const auto actual = forward_and_gradients(make_inputs(c, DType::kF32), c);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t k = 0; k < actual.size(); ++k) {
      double largest = 0;
      for (double e : expected[k].to_host<double>()) largest = std::max(largest, std::abs(e));
      const auto got = actual[k].to_host<float>();
      const auto wanted = expected[k].to_host<double>();
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_LE(std::abs(got[i] - wanted[i]), 2 * c.f32_tolerance * largest)
            << c.name << ", result " << k << ", element " << i;
    }
  }
  EXPECT_GT(cases, 20);
}

// Tiles, blocks, chunks and panels all have more than one piece here, and none divides the extents;
// few large images, many small ones and a stride take different ways through memory.
TEST_P(Algorithm, SameBitsForAnyThreadCountOnLargerShapes) {
  const auto conv = [](Shape x, Shape weight, int stride) {
    OpCase c;
    c.name = fmt::format("{} {} stride {}", x, weight, stride);
    c.inputs = {{x}, {weight}, {{weight[0]}}};
    c.run = [=](const Tensors& in) {
      return conv2d(in[0], in[1], in[2], Conv2dGeometry::same(3, stride));
    };
    return c;
  };
  const int before = cpu::thread_count();
  for (const OpCase& c :
       {conv({3, 27, 29, 70}, {67, 3, 3, 70}, 1), conv({13, 7, 5, 37}, {130, 3, 3, 37}, 1),
        conv({7, 12, 10, 19}, {21, 3, 3, 19}, 2)}) {
    const auto reference = forward_and_gradients(make_inputs(c, DType::kF64), c);
    const ForcedAlgorithm forced(GetParam());
    cpu::set_thread_count(1);
    const auto one = forward_and_gradients(make_inputs(c, DType::kF32), c);
    cpu::set_thread_count(8);
    const auto eight = forward_and_gradients(make_inputs(c, DType::kF32), c);
    for (size_t k = 0; k < one.size(); ++k) {
      const auto got = one[k].to_host<float>();
      EXPECT_EQ(got, eight[k].to_host<float>()) << c.name << ", result " << k;
      const auto wanted = reference[k].to_host<double>();
      double error = 0, norm = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
      }
      // Sums of 171 to 2349 products of random sign in f32; two bf16 parts hold 16 to 17 bits of
      // each operand, and the product of the low parts is left out.
      const double tolerance = GetParam() == "amx_bf16x3" ? 5e-6 : 2e-6;
      EXPECT_LT(std::sqrt(error / norm), tolerance) << c.name << ", result " << k;
    }
  }
  cpu::set_thread_count(before);
}

INSTANTIATE_TEST_SUITE_P(All, Algorithm, ::testing::ValuesIn(runnable_algorithms()),
                         [](const auto& test) { return test.param; });

TEST(Conv2dAlgorithms, ForceChoosesByName) {
  for (const std::string& name : runnable_algorithms()) {
    const ForcedAlgorithm forced(name);
    for (Conv2dPass pass : kConv2dPasses)
      EXPECT_EQ(cpu::choose_conv2d_algorithm(pass, kLargeProblem).name, name) << name_of(pass);
  }
}

TEST(Conv2dAlgorithms, UnknownNameListsTheKnownOnes) {
  EXPECT_THAT([] { cpu::force_conv2d_algorithm("fft"); },
              ::testing::ThrowsMessage<UserError>(::testing::AllOf(
                  ::testing::HasSubstr("'fft'"), ::testing::HasSubstr("tap_gemm"))));
}

TEST(Conv2dAlgorithms, DescriptionNamesEveryPass) {
  const std::string text = cpu::describe_conv2d_algorithms();
  for (Conv2dPass pass : kConv2dPasses) EXPECT_THAT(text, ::testing::HasSubstr(name_of(pass)));
  EXPECT_THAT(text, ::testing::HasSubstr("tap_gemm"));
}

}  // namespace
}  // namespace ddpm::testing
