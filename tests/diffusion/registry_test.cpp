// Every combination of variants a configuration can name trains and samples.
#include "diffusion/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/timestep_sampler.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

using ::testing::ElementsAre;

TEST(Registry, NamesTheVariants) {
  EXPECT_THAT(schedules().names(), ElementsAre("linear", "quadratic", "constant", "jsd", "warmup10",
                                               "warmup50", "cosine"));
  EXPECT_THAT(parameterizations().names(),
              ElementsAre("epsilon", "x0", "previous_mean", "step_noise", "velocity"));
  EXPECT_THAT(variances().names(),
              ElementsAre("fixed_small", "fixed_large", "learned", "learned_range"));
  EXPECT_THAT(losses().names(), ElementsAre("simple", "two_noise", "variational", "hybrid"));
  EXPECT_THAT(weightings().names(), ElementsAre("uniform", "x0", "snr", "truncated_snr",
                                                "snr_plus_one", "min_snr", "p2"));
  EXPECT_THAT(timestep_samplers().names(),
              ElementsAre("uniform", "stratified", "antithetic", "loss_second_moment"));
  EXPECT_THAT(distillations().names(),
              ElementsAre("none", "progressive", "consistency", "consistency_training", "output"));
  EXPECT_THAT(samplers().names(),
              ElementsAre("ancestral", "ddim", "dpm_solver", "dpm_solver++", "unipc", "heun",
                          "euler_maruyama", "predictor_corrector", "ode", "consistency"));
}

TEST(Registry, DefaultsAreThoseOfThePaperForCifar10) {
  const GaussianDiffusion p = process_of("{}", 256);
  EXPECT_EQ(p.timesteps(), 1000);
  EXPECT_DOUBLE_EQ(p.tables().beta.back(), 0.02);
  EXPECT_EQ(p.parameterization().at(p.tables(), 3).target_epsilon, 1);
  EXPECT_EQ(p.variance().at(p.tables(), 3).offset, std::log(p.tables().beta[3]));
  EXPECT_EQ(p.output_channels(3), 3);
}

// A process with a "network" of one weight per output element.
struct Laboratory {
  explicit Laboratory(const std::string& json)
      : process(process_of(json, 256, DType::kF32)),
        weights(Tensor::empty({3, 4, 4, process.output_channels(2)}, DType::kF32, Device::kCpu)),
        x0(Tensor::empty({3, 4, 4, 2}, DType::kF32, Device::kCpu)),
        noise(Tensor::like(x0)),
        second_noise(Tensor::like(x0)) {
    fill_normal(stream("weights"), weights);
    fill_uniform(stream("x0"), -1, 1, x0);
    fill_normal(stream("noise"), noise);
    fill_normal(stream("second_noise"), second_noise);
    weights.set_requires_grad(true);
  }
  static RandomStream stream(const char* site) {
    return {3, random_site(site), random_counter(0, 0, Device::kCpu)};
  }
  Model model() const {
    return [w = weights](const Tensor&, const Tensor&) { return scale(w, 0.1); };
  }

  GaussianDiffusion process;
  Tensor weights, x0, noise, second_noise;  // (N, H, W, C), here and below
};

void expect_finite(const Tensor& x, const std::string& what) {
  for (float value : x.to_host<float>()) ASSERT_TRUE(std::isfinite(value)) << what;
}

TEST(Registry, EveryCombinationTrainsAndSamples) {
  int trained = 0;
  for (const std::string& schedule : schedules().names())
    for (const std::string& parameterization : parameterizations().names())
      for (const std::string& variance : variances().names())
        for (const std::string& loss : losses().names()) {
          if (schedule == "jsd" &&
              (parameterization == "epsilon" || parameterization == "step_noise"))
            continue;
          if (losses().make(loss)->objection(*variances().make(variance))) continue;
          const std::string json =
              fmt::format(R"({{"timesteps": 20, "schedule": "{}", "parameterization": "{}",
                               "variance": "{}", "loss": "{}"}})",
                          schedule, parameterization, variance, loss);
          const Laboratory lab(json);
          {
            Tape tape;
            const Tensor losses_of_samples = lab.process.training_losses(
                lab.model(), lab.x0, steps({0, 7, 19}), lab.noise, lab.second_noise);
            ASSERT_EQ(losses_of_samples.shape(), Shape({3}));
            expect_finite(losses_of_samples, json);
            tape.backward(mean(losses_of_samples));
          }
          ASSERT_TRUE(lab.weights.grad()) << json;
          expect_finite(lab.weights.grad(), json);
          ++trained;
          for (const char* sampler : {"\"ancestral\"", R"({"name": "ddim", "steps": 5})"}) {
            ReverseChain chain(lab.process, *sampler_of(sampler), lab.model(), lab.x0.shape(), 0);
            expect_finite(sample(chain, 0), json);
          }
        }
  // simple and two_noise train two variances, hybrid the two others, the bound all four.
  EXPECT_EQ(trained, (7 * 5 - 2) * (2 * 2 + 2 + 4));
}

TEST(TimestepSampler, IsUniformOverAllTimesteps) {
  constexpr int kTimesteps = 10, kCount = 20000;
  const Tensor t = uniform_timesteps(Laboratory::stream("t"), kCount, kTimesteps);
  std::vector<int> counts(kTimesteps);
  for (int32_t step : t.to_host<int32_t>()) ++counts.at(step);
  double chi_square = 0;
  for (int count : counts) chi_square += std::pow(count - 2000.0, 2) / 2000.0;
  EXPECT_LT(chi_square, 27.9);  // exceeded once in a thousand seeds at 9 degrees of freedom
}

}  // namespace
}  // namespace ddpm::testing
