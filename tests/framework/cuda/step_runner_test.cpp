// A training step whose state lives on the device: captured once and replayed, it does what it does
// eagerly, bit for bit, and what the CPU does up to rounding.
#include "framework/train/step_runner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/ops/dropout.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "framework/train/adam.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

using CudaStep = Cuda;

// Fits w x to silu(x) under dropout; every step draws a new x.
class Fit {
 public:
  explicit Fit(Device device) : state_(device), device_(device) {
    parameters_.allocate(DType::kF32, device, 1);
    parameters_.allocate_training(options_.averages);
  }

  void step() {
    const RandomStream data{3, random_site("data"), state_.counter};
    const RandomStream mask{3, random_site("mask"), state_.counter};
    Tensor x = Tensor::empty({5, 13}, DType::kF32, device_);
    fill_normal(data, x);
    parameters_.begin_gradients();
    {
      Tape tape;
      const Tensor error = subtract(dropout(multiply(weight_, x), 0.2, mask), silu(x));
      tape.backward(mean(multiply(error, error)));
    }
    parameters_.end_gradients();
    optimizer_step(parameters_, options_, state_);
  }

  // Weights, moments and averages.
  std::vector<float> values() const {
    std::vector<float> all = parameters_.master.to_host<float>();
    for (const Tensor& t : {parameters_.moment1, parameters_.moment2, parameters_.averages[0],
                            parameters_.averages[1]}) {
      const std::vector<float> more = t.to_host<float>();
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }
  const StepState& state() const { return state_; }

 private:
  OptimizerOptions options_{.learning_rate = 0.05,
                            .warmup_steps = 3,
                            .grad_clip = 0.1,
                            .averages = 2,
                            .average_decay = {0.9, 0.99},
                            .average_warmup = true};
  Parameters parameters_;
  Parameter weight_ = parameters_.add("weight", {5, 13}, Init::constant(0.5));
  StepState state_;
  Device device_;
};

constexpr int kSteps = 8;  // two eager ones, one captured and launched, five replayed

TEST_F(CudaStep, ReplayMatchesEager) {
  Fit eager(Device::kCuda), replayed(Device::kCuda);
  StepRunner runner(Device::kCuda, [&] { replayed.step(); });
  for (int i = 0; i < kSteps; ++i) {
    eager.step();
    runner.run();
  }
  EXPECT_EQ(replayed.state().read_step(), kSteps);
  EXPECT_EQ(replayed.values(), eager.values());
  EXPECT_EQ(replayed.state().read_scalars().grad_norm, eager.state().read_scalars().grad_norm);
}

TEST_F(CudaStep, MatchesTheCpu) {
  Fit cuda(Device::kCuda), cpu(Device::kCpu);
  for (int i = 0; i < kSteps; ++i) {
    cuda.step();
    cpu.step();
  }
  const std::vector<float> actual = cuda.values(), expected = cpu.values();
  ASSERT_EQ(actual.size(), expected.size());
  // A few roundings per step; Adam divides by a root that is as small as the gradient.
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 1e-5) << i;
  const StepScalars a = cuda.state().read_scalars(), b = cpu.state().read_scalars();
  EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-5 * b.grad_norm);
  EXPECT_NEAR(a.grad_scale, b.grad_scale, 1e-5 * b.grad_scale);
  EXPECT_NEAR(a.adam_rate, b.adam_rate, 1e-12);
  EXPECT_EQ(a.average_decay, b.average_decay);
  EXPECT_EQ(a.first_nonfinite_step, -1);
}

TEST_F(CudaStep, AGradientThatIsNotFiniteChangesNothing) {
  Parameters parameters;
  parameters.add("weight", {3}, Init::constant(1));
  parameters.allocate(DType::kF32, Device::kCuda, 0);
  parameters.allocate_training(1);
  const std::vector<float> bad(static_cast<size_t>(parameters.grad.numel()), 1e30f);
  parameters.grad.copy_from_host(bad.data());
  const std::vector<float> weights = parameters.master.to_host<float>();
  StepState state(Device::kCuda);
  // Squares are added up in double: 1e30 is large and finite.
  optimizer_step(parameters, {.grad_clip = 1}, state);
  EXPECT_EQ(state.read_scalars().first_nonfinite_step, -1);
  EXPECT_NEAR(state.read_scalars().grad_scale, 1 / (1e30 * std::sqrt(bad.size())), 1e-36);
  const std::vector<float> infinite(bad.size(), INFINITY);
  parameters.grad.copy_from_host(infinite.data());
  const std::vector<float> moment = parameters.moment1.to_host<float>();
  optimizer_step(parameters, {.grad_clip = 1}, state);
  EXPECT_EQ(state.read_scalars().first_nonfinite_step, 1);
  EXPECT_EQ(state.read_scalars().grad_scale, 0);
  EXPECT_EQ(parameters.moment1.to_host<float>(), moment);
  EXPECT_EQ(parameters.master.to_host<float>(), weights);
  EXPECT_EQ(state.read_step(), 2);
}

TEST_F(CudaStep, AnErrorInsideACaptureEndsIt) {
  Fit fit(Device::kCuda), reference(Device::kCuda);
  int calls = 0;
  StepRunner runner(Device::kCuda, [&] {
    fit.step();
    if (++calls == 3) fail("the third call");
  });
  runner.run();
  runner.run();
  EXPECT_THROW(runner.run(), Error);
  // Nothing of the failed capture was executed, and the next one succeeds.
  EXPECT_EQ(fit.state().read_step(), 2);
  runner.run();
  for (int i = 0; i < 3; ++i) reference.step();
  EXPECT_EQ(fit.values(), reference.values());
}

TEST_F(CudaStep, AStepThatReadsBackCannotBeCaptured) {
  Fit fit(Device::kCuda);
  StepRunner runner(Device::kCuda, [&] {
    fit.step();
    fit.state().read_step();
  });
  runner.run();
  runner.run();
  EXPECT_THROW(runner.run(), Error);
  EXPECT_EQ(fit.state().read_step(), 2);
}

}  // namespace
}  // namespace ddpm::testing
