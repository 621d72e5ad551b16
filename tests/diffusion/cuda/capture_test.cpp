// Sampling and the bound of a whole network on the GPU: the captured step does what the eager one
// does, bit for bit, for any split into batches, and the CPU computes the same up to rounding.
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/host_values.h"
#include "diffusion/likelihood.h"
#include "diffusion/probability_flow.h"
#include "diffusion/sampler.h"
#include "framework/ops/timestep.h"
#include "layers/unet.h"
#include "tests/diffusion/diffusion_case.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

// Eight timesteps: two eager ones, one captured and launched, five replayed.
constexpr const char* kProcess =
    R"({"timesteps": 8, "variance": "learned", "loss": "variational"})";
constexpr uint64_t kSeed = 3;

// A small U-Net with weights at random: at the start its output is nearly zero.
class Denoised {
 public:
  explicit Denoised(Device device)
      : process_(variant_of(kProcess), 256, DType::kF32, device), device_(device) {
    UNetOptions options;
    options.base_channels = 8;
    options.channel_multipliers = {1, 2};
    options.blocks_per_level = 1;
    options.attention_resolutions = {4};
    network_ = options.build(Scope(parameters_), {8, 8, 1, 2});
    parameters_.allocate(DType::kF32, device, 7);
    Tensor weights = parameters_.master.reshape({1, parameters_.master.numel()});
    fill_uniform({kSeed, random_site("weights"), random_counter(0, 0, device)}, -0.2, 0.2, weights);
    parameters_.use_master();
  }

  Model model() const {
    return [this](const Tensor& x, const Tensor& t) { return (*network_)(x, t); };
  }

  std::vector<float> draw(const std::string& sampler, int64_t batch, int64_t count) const {
    ReverseChain chain(process_, *sampler_of(sampler), model(), {batch, 8, 8, 1}, kSeed);
    std::vector<float> all;
    for (int64_t first = 0; first < count; first += batch) {
      const std::vector<float> x = sample(chain, first).to_host<float>();
      all.insert(all.end(), x.begin(), x.end());
    }
    return all;
  }

  // The same images without a StepRunner.
  std::vector<float> draw_eagerly(const std::string& name, int64_t batch, int64_t count) const {
    const auto sampler = sampler_of(name);
    const auto stepper = sampler->stepper(process_, {batch, 8, 8, 1});
    std::vector<double> visited;
    for (const Sampler::Visit& visit : sampler->visits(process_)) visited.push_back(visit.t);
    const bool whole =
        std::all_of(visited.begin(), visited.end(), [](double t) { return t == std::floor(t); });
    const Shape shape{static_cast<int64_t>(visited.size())};
    const Tensor timesteps =
        whole ? Tensor::from_host(std::vector<int32_t>(visited.begin(), visited.end()), shape,
                                  device_)
              : Tensor::from_host(visited, shape, device_);
    std::vector<float> all;
    for (int64_t first = 0; first < count; first += batch) {
      Tensor counter = random_counter(0, first, device_),
             t = Tensor::empty({batch}, timesteps.dtype(), device_),
             index = Tensor::empty({batch}, DType::kI32, device_);
      stepper->begin(0);
      Tensor x = Tensor::empty({batch, 8, 8, 1}, DType::kF32, device_), noise = Tensor::like(x);
      fill_normal({kSeed, random_site("sample/x_T"), counter}, x);
      for (size_t i = 0; i < visited.size(); ++i) {
        next_timestep(timesteps, counter, index, t);
        fill_normal({kSeed, random_site("sample/noise"), counter}, noise);
        x = stepper->step({model()(x, t), x, noise, t, index}).x;
      }
      const std::vector<float> images = x.to_host<float>();
      all.insert(all.end(), images.begin(), images.end());
    }
    return all;
  }

  // The flow's log densities of six images, two probes each, and the evaluations of each.
  std::vector<double> flow(int64_t batch) const {
    ProbabilityFlow flow(process_, model(), {batch, 8, 8, 1}, {.atol = 1e-3, .rtol = 1e-3}, "test");
    std::vector<double> numbers;
    for (int64_t first = 0; first < 6; first += batch) {
      const auto drawn = [&](int64_t step) {
        Tensor x = Tensor::empty({batch, 8, 8, 1}, DType::kF32, Device::kCpu);
        fill_uniform({kSeed, random_site("flow"), random_counter(step, first, Device::kCpu)}, -1, 1,
                     x);
        return read_values(x);
      };
      const auto density = flow.transport_density(drawn(0), flow.levels().first(),
                                                  flow.levels().last(), {drawn(1), drawn(2)});
      numbers.insert(numbers.end(), density.log_ratio.begin(), density.log_ratio.end());
      numbers.insert(numbers.end(), density.evaluations.begin(), density.evaluations.end());
    }
    return numbers;
  }

  // Mean of every bound over six images.
  std::vector<double> bounds(int64_t batch) const {
    Likelihood likelihood(process_, model(), {.seed = kSeed});
    for (int64_t first = 0; first < 6; first += batch) {
      const int64_t images = std::min(batch, 6 - first);
      Tensor x0 = Tensor::empty({images, 8, 8, 1}, DType::kF32, device_);
      fill_uniform({kSeed, random_site("x0"), random_counter(0, first, device_)}, -1, 1, x0);
      likelihood.add(x0, first);
    }
    std::vector<double> means = {likelihood.report().rmse(0)};
    for (const VariationalBound& bound : likelihood.report().bounds)
      means.push_back(bound.total.mean());
    return means;
  }

 private:
  GaussianDiffusion process_;
  Parameters parameters_;
  std::unique_ptr<Denoiser> network_;
  Device device_;
};

class CudaSampling : public Cuda, public ::testing::WithParamInterface<const char*> {};

// Each of eight steps rounds sums of some hundred products; x_0 is clipped to [-1, 1].
constexpr double kRounding = 1e-4;

void expect_same_images(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], kRounding) << i;
}

TEST_P(CudaSampling, CapturedStepsDrawWhatEagerStepsDraw) {
  const Denoised cuda(Device::kCuda);
  const std::vector<float> images = cuda.draw(GetParam(), 2, 6);  // replayed for three batches
  EXPECT_EQ(images, cuda.draw_eagerly(GetParam(), 2, 6));
}

// The same random numbers; but how sums are cut to fill a GPU follows from the batch.
TEST_P(CudaSampling, TheBatchChangesRoundingAlone) {
  const Denoised cuda(Device::kCuda);
  expect_same_images(cuda.draw(GetParam(), 2, 6), cuda.draw(GetParam(), 3, 6));
}

TEST_P(CudaSampling, MatchesTheCpu) {
  expect_same_images(Denoised(Device::kCuda).draw(GetParam(), 2, 2),
                     Denoised(Device::kCpu).draw(GetParam(), 2, 2));
}

INSTANTIATE_TEST_SUITE_P(
    All, CudaSampling,
    ::testing::Values(
        R"("ancestral")", R"({"name": "ancestral", "steps": 6, "variance": "fixed_small"})",
        R"({"name": "ddim", "steps": 8})", R"({"name": "ddim", "steps": 8, "eta": 1})",
        R"({"name": "dpm_solver++", "steps": 8})", R"({"name": "dpm_solver", "steps": 8})",
        R"({"name": "predictor_corrector", "steps": 9})"));

using CudaFlow = Cuda;

// Two eager evaluations, one captured, the rest replayed, with gradients through the tape in it.
TEST_F(CudaFlow, CapturedEvaluationsMatchTheCpu) {
  const std::vector<double> cuda = Denoised(Device::kCuda).flow(2),
                            cpu = Denoised(Device::kCpu).flow(2);
  ASSERT_EQ(cuda.size(), cpu.size());
  EXPECT_GT(cpu.back(), 6);
  // Sums over 64 dimensions of what rounding moved, as in the steps above.
  for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(cuda[i], cpu[i], 64 * kRounding) << i;
}

using CudaLikelihood = Cuda;

TEST_F(CudaLikelihood, DoesNotDependOnTheBatchSplitAndMatchesTheCpu) {
  const Denoised cuda(Device::kCuda);
  const std::vector<double> together = cuda.bounds(6);
  EXPECT_EQ(cuda.bounds(4), together) << "the last batch is smaller";
  const std::vector<double> expected = Denoised(Device::kCpu).bounds(6);
  ASSERT_EQ(together.size(), 7u) << "an RMSE, three variances, clipped and not";
  for (size_t i = 0; i < together.size(); ++i)
    EXPECT_NEAR(together[i], expected[i], 1e-4 * std::abs(expected[i])) << i;
}

}  // namespace
}  // namespace ddpm::testing
