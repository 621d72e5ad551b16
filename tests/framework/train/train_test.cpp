// Parameters, Adam, averages, clipping, warm-up and the step runner.
#include <gtest/gtest.h>

#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"
#include "framework/train/adam.h"
#include "framework/train/step_runner.h"

namespace ddpm {
namespace {

TEST(Parameters, AlignsSlotsAndInitialisesByPath) {
  Parameters parameters;
  parameters.add("a", {3}, Init::constant(2));
  parameters.add("b/weight", {4, 3, 3, 5}, Init::variance_scaling(1));
  parameters.allocate(DType::kF64, Device::kCpu, 1);
  EXPECT_EQ(parameters.count(), 183);
  EXPECT_EQ(parameters.slots()[1].offset, 16);
  EXPECT_EQ(parameters.slots()[0].tensor.to_host<double>(), std::vector<double>(3, 2));
  // U(-a, a) with a^2 = 3 / ((45 + 36) / 2); its variance is a^2 / 3.
  const double a = std::sqrt(3 / 40.5);
  double squares = 0;
  for (double w : parameters.slots()[1].tensor.to_host<double>()) {
    EXPECT_LT(std::abs(w), a);
    squares += w * w;
  }
  EXPECT_NEAR(squares / 180, a * a / 3, 0.2 * a * a / 3);  // 180 draws: 5 standard errors are 0.33
}

TEST(Parameters, HandlesFollowTheBufferInUse) {
  Parameters parameters;
  const Parameter p = parameters.add("p", {2}, Init::constant(1));
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  parameters.allocate_training(1);
  parameters.averages[0].data<float>()[1] = 5;
  parameters.use_average(0);
  EXPECT_EQ(static_cast<const Tensor&>(p).data<float>()[1], 5);
  parameters.use_master();
  EXPECT_EQ(static_cast<const Tensor&>(p).data<float>()[1], 1);
}

TEST(Parameters, GradientsThatTheLossDoesNotReachAreZero) {
  Parameters parameters;
  const Parameter p = parameters.add("p", {2}, Init::constant(1));
  parameters.add("unused", {2}, Init::constant(1));
  parameters.allocate(DType::kF64, Device::kCpu, 0);
  parameters.allocate_training(0);
  for (int64_t i = 0; i < parameters.grad.numel(); ++i) parameters.grad.data<double>()[i] = 9;
  parameters.begin_gradients();
  {
    Tape tape;
    tape.backward(sum(multiply(p, p)));
  }
  parameters.end_gradients();
  const auto grad = [&](size_t i) {
    return Parameters::part(parameters.grad, parameters.slots()[i]).to_host<double>();
  };
  EXPECT_EQ(grad(0), std::vector<double>(2, 2));
  EXPECT_EQ(grad(1), std::vector<double>(2, 0));
}

// A reference written from Kingma & Ba's "epsilon hat" form, one scalar, in double.
TEST(Adam, MatchesTheScalarRecursion) {
  Parameters parameters;
  const Parameter p = parameters.add("p", {1}, Init::constant(3));
  parameters.allocate(DType::kF64, Device::kCpu, 0);
  parameters.allocate_training(2);
  OptimizerOptions options{.learning_rate = 0.1,
                           .warmup_steps = 4,
                           .grad_clip = 2,
                           .averages = 2,
                           .average_decay = {0.9, 0.5}};
  StepState state(Device::kCpu);
  double w = 3, m = 0, v = 0, slow = 3, fast = 3;
  for (int step = 0; step < 10; ++step) {
    parameters.begin_gradients();
    {
      Tape tape;
      tape.backward(sum(multiply(p, p)));
    }
    parameters.end_gradients();
    optimizer_step(parameters, options, state);

    const double raw = 2 * w, g = std::abs(raw) > 2 ? std::copysign(2, raw) : raw;
    const double rate = 0.1 * std::min(step / 4.0, 1.0);
    m = 0.9 * m + (1 - 0.9) * g;
    v = 0.999 * v + (1 - 0.999) * g * g;
    w -= rate * std::sqrt(1 - std::pow(0.999, step + 1)) / (1 - std::pow(0.9, step + 1)) * m /
         (std::sqrt(v) + 1e-8);
    slow = step == 0 ? w : 0.9 * slow + 0.1 * w;
    fast = step == 0 ? w : 0.5 * fast + 0.5 * w;
    EXPECT_NEAR(parameters.master.data<double>()[0], w, 1e-12) << step;
    EXPECT_NEAR(parameters.averages[0].data<double>()[0], slow, 1e-12) << step;
    EXPECT_NEAR(parameters.averages[1].data<double>()[0], fast, 1e-12) << step;
    EXPECT_NEAR(state.read_scalars().grad_norm, std::abs(raw), 1e-9);
    EXPECT_NEAR(state.read_scalars().learning_rate, rate, 1e-15);
  }
  EXPECT_EQ(state.read_step(), 10);
}

TEST(Adam, ANonFiniteGradientChangesNothingAndIsRemembered) {
  Parameters parameters;
  parameters.add("p", {2}, Init::constant(1));
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  parameters.allocate_training(1);
  OptimizerOptions options{.warmup_steps = 0};
  StepState state(Device::kCpu);
  optimizer_step(parameters, options, state);
  parameters.grad.data<float>()[1] = std::nanf("");
  optimizer_step(parameters, options, state);
  optimizer_step(parameters, options, state);
  EXPECT_EQ(parameters.master.data<float>()[0], 1);
  EXPECT_EQ(parameters.averages[0].data<float>()[1], 1);
  EXPECT_EQ(state.read_scalars().first_nonfinite_step, 1);
}

TEST(StepState, AverageWarmupFollowsTheStep) {
  OptimizerOptions options{.average_decay = {0.5}, .average_warmup = true};
  StepState state(Device::kCpu);
  const auto decay_at = [&](int64_t step) {
    state.write_step(step);
    begin_step(options, state);
    return state.read_scalars().average_decay[0];
  };
  EXPECT_EQ(decay_at(0), 0);
  EXPECT_DOUBLE_EQ(decay_at(1), 2.0 / 11);
  EXPECT_DOUBLE_EQ(decay_at(1000), 0.5);
}

TEST(StepRunner, SteadyStateAllocatesNothing) {
  const Tensor w = full({64, 64}, 0.5, DType::kF32, Device::kCpu).set_requires_grad(true);
  StepRunner runner(Device::kCpu, [&] {
    Tape tape;
    Tensor h = w;
    for (int i = 0; i < 20; ++i) h = silu(add(h, w));
    w.grad() = Tensor();
    tape.backward(sum(h));
    w.grad() = Tensor();
  });
  runner.run();
  runner.run();
  const size_t reserved = runner.pool().bytes_reserved();
  for (int i = 0; i < 5; ++i) runner.run();  // the frozen pool throws on a miss
  EXPECT_EQ(runner.pool().bytes_reserved(), reserved);
}

}  // namespace
}  // namespace ddpm
