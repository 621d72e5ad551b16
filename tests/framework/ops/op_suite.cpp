// Runs every OpCase and every ErrorCase that is linked into this program.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "framework/autograd/tape.h"
#include "framework/core/memory.h"
#include "framework/core/pool.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/op_case.h"

namespace ddpm::testing {

// A failed test names its case instead of dumping the bytes of it.
void PrintTo(const OpCase& c, std::ostream* out) { *out << c.name; }
void PrintTo(const ErrorCase& c, std::ostream* out) { *out << c.name; }

namespace {

// A weighted sum, in f32 where y is bf16: under a plain one softmax and group norm would have no
// gradient at all. The weights are bf16 values, so that dy is the same in every type.
Tensor loss_of(const Tensor& y) {
  const OpCase shape_of_output{.name = "loss_weights", .inputs = {{y.shape()}}, .run = {}};
  const Tensor wide = cast(y, accumulator_of(y.dtype()));
  return sum(
      multiply(wide, make_inputs(shape_of_output, wide.dtype(), y.device(), {}, true)[0].detach()));
}

std::vector<double> to_f64(const Tensor& t) {
  if (t.dtype() == DType::kF64) return t.to_host<double>();
  const std::vector<float> values = cast(t, DType::kF32).to_host<float>();
  return std::vector<double>(values.begin(), values.end());
}

// The output and the gradient of every differentiable input, in f64.
std::vector<std::vector<double>> forward_and_gradients(const OpCase& c, DType dtype,
                                                       Device device = Device::kCpu,
                                                       bool rounded = false) {
  const Tensors in = make_inputs(c, dtype, device, {}, rounded);
  std::vector<std::vector<double>> result;
  {
    Tape tape;
    const Tensor y = c.run(in);
    result.push_back(to_f64(y));
    tape.backward(loss_of(y));
  }
  for (const Tensor& x : in)
    if (x.requires_grad()) result.push_back(to_f64(x.grad()));
  return result;
}

void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                  double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double largest = 1e-30;
  for (double e : expected) largest = std::max(largest, std::abs(e));
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_LE(std::abs(actual[i] - expected[i]), tolerance * largest)
        << what << ", element " << i << ": " << actual[i] << " instead of " << expected[i];
}

class Op : public ::testing::TestWithParam<OpCase> {
 protected:
  void SetUp() override { pool_->use_guards(); }

#ifdef DDPM_WITH_CUDA
  // Skipped cases are easily overlooked: the log says how many ran, and where.
  static void TearDownTestSuite() {
    const std::string reason = memory::unavailable_reason(Device::kCuda);
    fmt::print("CUDA op cases run: {} f32, {} bf16 ({})\n", cuda_f32_cases_, cuda_bf16_cases_,
               reason.empty() ? memory::gpu_info().name : reason);
  }
  static inline int cuda_f32_cases_ = 0, cuda_bf16_cases_ = 0;
#endif

 private:
  std::shared_ptr<Pool> pool_ = Pool::create(Device::kCpu);
  PoolScope scope_{pool_};
};

TEST_P(Op, GradientMatchesFiniteDifferences) {
  const OpCase& c = GetParam();
  const Tensors in = make_inputs(c, DType::kF64);
  const auto loss = [&] { return loss_of(c.run(in)).data<double>()[0]; };
  {
    Tape tape;
    tape.backward(loss_of(c.run(in)));
  }
  for (size_t k = 0; k < in.size(); ++k) {
    const Tensor& x = in[k];
    if (!x.requires_grad()) continue;
    ASSERT_TRUE(x.grad()) << "input " << k << " received no gradient";
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double h = 1e-5, saved = x.data<double>()[i];
      x.data<double>()[i] = saved + h;
      const double up = loss();
      x.data<double>()[i] = saved - h;
      const double down = loss();
      x.data<double>()[i] = saved;
      ASSERT_NEAR(x.grad().data<double>()[i], (up - down) / (2 * h), c.grad_tolerance)
          << "input " << k << ", element " << i;
    }
  }
}

TEST_P(Op, MatchesReference) {
  const OpCase& c = GetParam();
  if (!c.reference) GTEST_SKIP() << "the case names no reference";
  const Tensors in = make_inputs(c, DType::kF64);
  const Tensor actual = c.run(in), expected = c.reference(in);
  ASSERT_EQ(actual.shape(), expected.shape());
  expect_close(actual.to_host<double>(), expected.to_host<double>(), 1e-12, "output");
}

TEST_P(Op, F32MatchesF64) {
  const OpCase& c = GetParam();
  const auto low = forward_and_gradients(c, DType::kF32);
  const auto high = forward_and_gradients(c, DType::kF64);
  ASSERT_EQ(low.size(), high.size());
  for (size_t k = 0; k < low.size(); ++k)
    expect_close(low[k], high[k], c.f32_tolerance, k == 0 ? "output" : "gradient");
}

TEST_P(Op, Bf16MatchesF32) {
  const OpCase& c = GetParam();
  if (c.bf16_tolerance == 0) GTEST_SKIP() << "the op is never bf16";
  const auto low = forward_and_gradients(c, DType::kBf16);
  const auto high = forward_and_gradients(c, DType::kF32, Device::kCpu, true);
  for (size_t k = 0; k < low.size(); ++k)
    expect_close(low[k], high[k], c.bf16_tolerance, k == 0 ? "output" : "gradient");
}

TEST_P(Op, SameBitsForAnyThreadCount) {
  const int before = cpu::thread_count();
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    if (dtype == DType::kBf16 && GetParam().bf16_tolerance == 0) continue;
    cpu::set_thread_count(1);
    const auto one = forward_and_gradients(GetParam(), dtype);
    for (int threads : {2, 3, 8}) {
      cpu::set_thread_count(threads);
      EXPECT_EQ(forward_and_gradients(GetParam(), dtype), one)
          << threads << " threads, " << name_of(dtype);
    }
  }
  cpu::set_thread_count(before);
}

#ifdef DDPM_WITH_CUDA
TEST_P(Op, CudaMatchesCpu) {
  if (!memory::is_available(Device::kCuda)) GTEST_SKIP() << "no CUDA device";
  const OpCase& c = GetParam();
  const auto cuda = forward_and_gradients(c, DType::kF32, Device::kCuda);
  const auto cpu = forward_and_gradients(c, DType::kF32, Device::kCpu);
  for (size_t k = 0; k < cuda.size(); ++k)
    expect_close(cuda[k], cpu[k], c.f32_tolerance, k == 0 ? "output" : "gradient");
  ++cuda_f32_cases_;
}

TEST_P(Op, CudaBf16MatchesCpu) {
  if (!memory::is_available(Device::kCuda)) GTEST_SKIP() << "no CUDA device";
  const OpCase& c = GetParam();
  if (c.bf16_tolerance == 0) GTEST_SKIP() << "the op is never bf16";
  const auto cuda = forward_and_gradients(c, DType::kBf16, Device::kCuda);
  const auto cpu = forward_and_gradients(c, DType::kF32, Device::kCpu, true);
  for (size_t k = 0; k < cuda.size(); ++k)
    expect_close(cuda[k], cpu[k], c.bf16_tolerance, k == 0 ? "output" : "gradient");
  ++cuda_bf16_cases_;
}
#endif

INSTANTIATE_TEST_SUITE_P(Ops, Op, ::testing::ValuesIn(op_cases()),
                         [](const auto& test) { return test.param.name; });

class OpError : public ::testing::TestWithParam<ErrorCase> {};

TEST_P(OpError, IsRefusedWithAMessage) {
  try {
    GetParam().run();
    FAIL() << "nothing was thrown";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OpError, ::testing::ValuesIn(error_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ddpm::testing
