// Training steps of a whole network, with every kind of layer: captured steps repeat eager ones bit
// for bit, and the CPU computes the same up to rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/cuda/moments.h"
#include "framework/ops/losses.h"
#include "framework/ops/reduce.h"
#include "framework/train/adam.h"
#include "framework/train/step_runner.h"
#include "layers/unet.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

using CudaUNet = Cuda;

class Denoising {
 public:
  explicit Denoising(Device device) : Denoising(device, DType::kF32, 8, {1, 2}) {}
  Denoising(Device device, DType compute_type, int64_t channels, std::vector<int64_t> multipliers)
      : state_(device), device_(device) {
    UNetOptions options;
    options.base_channels = channels;
    options.channel_multipliers = multipliers;
    options.blocks_per_level = 1;
    options.attention_resolutions = {4};
    options.dropout = 0.2;
    network_ = options.build(Scope(parameters_), {8, 8, 3, 3});
    parameters_.allocate(compute_type, device, 7);
    parameters_.allocate_training(optimizer_.averages);
    loss_ = Tensor::zeros({1}, DType::kF32, device);
  }

  void step() {
    Tensor x = Tensor::empty({2, 8, 8, 3}, DType::kF32, device_);
    Tensor t = Tensor::empty({2}, DType::kI32, device_);
    fill_normal({3, random_site("x"), state_.counter}, x);
    fill_randint({3, random_site("t"), state_.counter}, 1000, t);
    const DropoutSource dropout{11, state_.counter};
    parameters_.begin_gradients();
    {
      Tape tape;
      const Tensor loss = mean(squared_error((*network_)(x, t, {}, &dropout), x));
      loss_.copy_from(loss);
      tape.backward(loss);
    }
    parameters_.end_gradients();
    optimizer_step(parameters_, optimizer_, state_);
  }

  void continue_from(const Denoising& other) {
    parameters_.master.copy_from_host(other.weights().data());
    state_.write_step(other.state_.read_step());
  }

  float loss() const { return loss_.to_host<float>()[0]; }
  double grad_norm() const { return state_.read_scalars().grad_norm; }
  std::vector<float> gradients() const { return parameters_.grad.to_host<float>(); }
  std::vector<float> weights() const { return parameters_.master.to_host<float>(); }

 private:
  OptimizerOptions optimizer_{.learning_rate = 1e-3, .warmup_steps = 0, .average_decay = {0.9}};
  Parameters parameters_;
  std::unique_ptr<Denoiser> network_;
  StepState state_;
  Device device_;
  Tensor loss_;
};

TEST_F(CudaUNet, ReplayMatchesEager) {
  Denoising eager(Device::kCuda), replayed(Device::kCuda);
  StepRunner runner(Device::kCuda, [&] { replayed.step(); });
  for (int i = 0; i < 5; ++i) {
    eager.step();
    runner.run();
    ASSERT_EQ(replayed.loss(), eager.loss()) << "step " << i;
  }
  EXPECT_EQ(replayed.weights(), eager.weights());
}

// In bf16 every normalisation of this network finds the moments that a convolution left.
TEST_F(CudaUNet, ReplayMatchesEagerWithMoments) {
  if (memory::gpu_info().capability < 90) GTEST_SKIP() << "not a Hopper card";
  Denoising eager(Device::kCuda, DType::kBf16, 64, {1, 1});
  Denoising replayed(Device::kCuda, DType::kBf16, 64, {1, 1});
  const cuda::MomentsTally before = cuda::moments_tally();
  eager.step();
  // 2 blocks down, 2 in the middle and 4 up with 2 each; attention at 1, 1 and 2; the last.
  EXPECT_EQ(cuda::moments_tally().found - before.found, 8 * 2 + 4 + 1);
  EXPECT_EQ(cuda::moments_tally().missed, before.missed);
  StepRunner runner(Device::kCuda, [&] { replayed.step(); });
  runner.run();
  ASSERT_EQ(replayed.loss(), eager.loss());
  for (int i = 1; i < 4; ++i) {
    eager.step();
    runner.run();
    ASSERT_EQ(replayed.loss(), eager.loss()) << "step " << i;
  }
  EXPECT_EQ(replayed.weights(), eager.weights());
}

TEST_F(CudaUNet, MatchesTheCpu) {
  Denoising cuda(Device::kCuda), cpu(Device::kCpu);
  for (int i = 0; i < 5; ++i) {
    cuda.step();
    cpu.step();
    // Sums of up to 10^3 products in another order; Adam turns the sign of a gradient that is zero
    // but for rounding into a whole step of its weight, which the loss hardly feels.
    ASSERT_NEAR(cuda.loss(), cpu.loss(), 1e-4 * cpu.loss()) << "step " << i;
    ASSERT_NEAR(cuda.grad_norm(), cpu.grad_norm(), 1e-3 * cpu.grad_norm()) << "step " << i;
  }
}

TEST_F(CudaUNet, GradientsMatchTheCpu) {
  Denoising cuda(Device::kCuda), cpu(Device::kCpu);
  // At the start the last convolution is nearly zero, and so are all gradients but its own.
  for (int i = 0; i < 5; ++i) cpu.step();
  cuda.continue_from(cpu);
  cuda.step();
  cpu.step();
  const std::vector<float> actual = cuda.gradients(), expected = cpu.gradients();
  ASSERT_EQ(actual.size(), expected.size());
  float largest = 0;
  for (const float g : expected) largest = std::max(largest, std::abs(g));
  ASSERT_GT(largest, 0);
  // As for a single op (OpCase::f32_tolerance), through some forty of them.
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], 1e-4f * largest) << i;
}

}  // namespace
}  // namespace ddpm::testing
