// Samplers with the exact denoiser in the network's place: what they draw must be the data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/sampler.h"
#include "diffusion/samplers/ddim.h"
#include "framework/ops/concat.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;

// The linear schedule in a quarter of the steps: alpha_bar ends where it does at T = 1000.
const char* kShortProcess = R"({"timesteps": 250, "variance": "learned", "loss": "variational",
    "schedule": {"name": "linear", "rescale_to_steps": true}})";

class SamplersTest : public ::testing::TestWithParam<const char*> {};

TEST_P(SamplersTest, DrawTheMixture) {
  constexpr int64_t kCount = 2000;
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kShortProcess);
  ReverseChain chain(process, *sampler_of(GetParam()), exact_denoiser(mixture, process),
                     {kCount, 2}, 11);
  const std::vector<double> x = sample(chain, 0).to_host<double>();

  std::vector<double> counts(3), sums(6), squares(6);
  for (int64_t n = 0; n < kCount; ++n) {
    const std::vector<double> r = mixture.responsibilities({&x[2 * n], 2});
    const auto k = std::max_element(r.begin(), r.end()) - r.begin();
    ++counts[k];
    for (int d = 0; d < 2; ++d) {
      sums[2 * k + d] += x[2 * n + d];
      squares[2 * k + d] += x[2 * n + d] * x[2 * n + d];
    }
  }
  for (int k = 0; k < 3; ++k) {
    // Four standard errors, and 3 % of a variance for 250 steps instead of infinitely many.
    const double w = mixture.weights[k];
    EXPECT_NEAR(counts[k] / kCount, w, 4 * std::sqrt(w * (1 - w) / kCount)) << "mode " << k;
    for (int d = 0; d < 2; ++d) {
      const double variance = mixture.variances[2 * k + d], mean = sums[2 * k + d] / counts[k];
      EXPECT_NEAR(mean, mixture.means[2 * k + d], 4 * std::sqrt(variance / counts[k]));
      EXPECT_NEAR((squares[2 * k + d] / counts[k] - mean * mean) / variance, 1,
                  0.03 + 4 * std::sqrt(2 / counts[k]))
          << "mode " << k << ", axis " << d;
    }
  }
}

TEST_P(SamplersTest, DrawTheSameBitsForAnyBatchSplit) {
  const GaussianDiffusion process = process_of(kShortProcess, 0, DType::kF32);
  const auto draw = [&](int64_t batch) {
    ReverseChain chain(process, *sampler_of(GetParam()), exact_denoiser(three_modes(), process),
                       {batch, 2}, 5);
    std::vector<float> all;
    for (int64_t first = 100; first < 106; first += batch) {
      const std::vector<float> x = sample(chain, first).to_host<float>();
      all.insert(all.end(), x.begin(), x.end());
    }
    return all;
  };
  const std::vector<float> together = draw(6);
  EXPECT_EQ(draw(2), together);
  EXPECT_EQ(draw(1), together);
  EXPECT_NE(std::vector<float>(together.begin(), together.begin() + 2),
            std::vector<float>(together.begin() + 2, together.begin() + 4));
}

INSTANTIATE_TEST_SUITE_P(
    All, SamplersTest,
    ::testing::Values(R"("ancestral")", R"({"name": "ddim", "steps": 250})",
                      R"({"name": "ddim", "steps": 250, "sigma_hat": true})",
                      R"({"name": "ddim", "steps": 250, "eta": 0.5})",
                      R"({"name": "dpm_solver", "steps": 100})",
                      R"({"name": "dpm_solver++", "steps": 60})",
                      R"({"name": "dpm_solver++", "method": "3m", "steps": 60})",
                      R"({"name": "unipc", "steps": 60})", R"({"name": "heun", "steps": 101})",
                      R"({"name": "heun", "steps": 201, "churn": 40})",
                      R"({"name": "ancestral", "clip_denoised": false})",
                      R"({"name": "euler_maruyama", "steps": 250})",
                      R"({"name": "predictor_corrector", "steps": 499})",
                      R"({"name": "predictor_corrector", "steps": 748, "corrector_steps": 2,
                          "snr": 0.1})"));

TEST(ReverseChain, VisitsEveryTimestepOnceAndShowsEveryStep) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 5})");
  std::vector<int32_t> visited;
  const Model model = [&](const Tensor& x, const Tensor& t) {
    visited.push_back(t.data<int32_t>()[0]);
    return x;
  };
  ReverseChain chain(process, *sampler_of("\"ancestral\""), model, {2, 2}, 0);
  std::vector<int64_t> shown;
  sample(chain, 0, [&](int64_t done, const ReverseChain& c) {
    shown.push_back(done);
    for (double x0 : c.x0().to_host<double>()) EXPECT_LE(std::abs(x0), 1);
  });
  EXPECT_EQ(visited, (std::vector<int32_t>{4, 3, 2, 1, 0}));
  EXPECT_EQ(shown, (std::vector<int64_t>{1, 2, 3, 4, 5}));
}

// The process of the visited timesteps has the posterior of theirs: DDIM's coefficients at eta = 1.
TEST(Respacing, StepsHaveThePosteriorOfTheLongerSteps) {
  for (const char* schedule : {"linear", "cosine"}) {
    const GaussianDiffusion process = process_of(fmt::format(R"({{"schedule": "{}"}})", schedule));
    const std::vector<int> visited = {0, 3, 250, 500, 999};
    const DiffusionTables &all = process.tables(), few = process.respaced(visited).tables();
    ASSERT_EQ(few.timesteps(), 5);
    for (int i = 0; i < 5; ++i) {
      const int t = visited[static_cast<size_t>(i)];
      EXPECT_NEAR(few.alpha_bar[i], all.alpha_bar[t], 1e-12);
      if (i == 0) continue;
      const int s = visited[static_cast<size_t>(i) - 1];
      const auto level = [&](int at) {
        return NoiseLevel{static_cast<double>(at), all.signal[at], all.noise[at], 0};
      };
      const DdimCoefficients c = ddim_coefficients(level(t), level(s), /*eta=*/1);
      EXPECT_NEAR(few.posterior_x0[i], c.x0, 1e-12) << schedule << " " << t;
      // DDIM's is the root of a difference: a rounding of 1e-16 under a root of 4e-5 is 3e-12.
      EXPECT_NEAR(few.posterior_xt[i], c.xt, 1e-11) << schedule << " " << t;
      EXPECT_NEAR(few.posterior_variance[i], c.sigma * c.sigma, 1e-12) << schedule << " " << t;
    }
  }
}

TEST(Respacing, VisitsBothEndsAndKeepsAllStepsAsTheyAre) {
  const GaussianDiffusion process = process_of("{}");
  const auto visits = [&](int steps) {
    std::vector<double> t;
    for (const auto& visit :
         sampler_of(fmt::format(R"({{"name": "ancestral", "steps": {}}})", steps))->visits(process))
      t.push_back(visit.t);
    return t;
  };
  EXPECT_EQ(visits(5), (std::vector<double>{999, 749, 500, 250, 0}));
  EXPECT_EQ(visits(1), (std::vector<double>{999}));
  EXPECT_EQ(visits(1000), visits(0));
  EXPECT_THROW(visits(1001), UserError);
}

// Every parameterization of one exact model gives one image, with a variance that is interpolated
// between those of the longer step (Nichol & Dhariwal 2021, eq. 15).
TEST(Respacing, ServesEveryParameterizationAndTheLearnedRange) {
  const auto draw = [](const std::string& parameterization, double v, const char* settings) {
    const GaussianDiffusion process = process_of(fmt::format(
        R"({{"parameterization": "{}", "variance": "learned_range", "loss": "hybrid"}})",
        parameterization));
    const Model exact = exact_denoiser(three_modes(), process);
    const Model model = [&](const Tensor& x, const Tensor& t) {
      return concat_channels(process.split(exact(x, t), x).prediction, constant(x.shape(), v));
    };
    ReverseChain chain(process, *sampler_of(settings), model, {4, 2}, 3);
    return sample(chain, 0).to_host<double>();
  };
  constexpr const char* kModel = R"({"name": "ancestral", "steps": 20})";
  const std::vector<double> expected = draw("epsilon", 1, kModel);
  for (const std::string& name : parameterizations().names()) {
    const std::vector<double> x = draw(name, 1, kModel);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], expected[i], 1e-8) << name;
  }
  const std::vector<double> lowest = draw("epsilon", -1, kModel);
  const std::vector<double> small =
      draw("epsilon", 0, R"({"name": "ancestral", "steps": 20, "variance": "fixed_small"})");
  const std::vector<double> large =
      draw("epsilon", 0, R"({"name": "ancestral", "steps": 20, "variance": "fixed_large"})");
  for (size_t i = 0; i < small.size(); ++i) {
    EXPECT_NEAR(lowest[i], small[i], 1e-12);
    EXPECT_NEAR(expected[i], large[i], 1e-12);
    EXPECT_NE(small[i], large[i]);
  }
}

TEST(Respacing, RefusesAVarianceOfSingleSteps) {
  const GaussianDiffusion process = process_of(R"({"variance": "learned", "loss": "variational"})");
  EXPECT_NO_THROW(sampler_of(R"({"name": "ancestral"})")->visits(process));
  EXPECT_NO_THROW(sampler_of(R"({"name": "ancestral", "steps": 9, "variance": "fixed_small"})")
                      ->visits(process));
  try {
    sampler_of(R"({"name": "ancestral", "steps": 9})")->visits(process);
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("learned_range"));
  }
}

TEST(ReverseChain, SamplersShareTheirFirstNoise) {
  const GaussianDiffusion process = process_of("{}");
  const Model model = [](const Tensor& x, const Tensor&) { return x; };
  ReverseChain one(process, *sampler_of("\"ancestral\""), model, {3, 2}, 9);
  ReverseChain other(process, *sampler_of("\"ddim\""), model, {3, 2}, 9);
  one.start(4);
  other.start(4);
  EXPECT_EQ(one.x().to_host<double>(), other.x().to_host<double>());
}

TEST(ReverseChain, GoesOnFromTheMiddle) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 20})");
  const Model model = exact_denoiser(three_modes(), process);
  const auto sampler = sampler_of("\"ancestral\"");
  ReverseChain whole(process, *sampler, model, {3, 2}, 9),
      rest(process, *sampler, model, {3, 2}, 9);
  whole.start(4);
  for (int i = 0; i < 7; ++i) whole.step();
  rest.start_from(whole.x(), 7, 4);
  for (int i = 7; i < 20; ++i) {
    whole.step();
    rest.step();
  }
  EXPECT_EQ(whole.x().to_host<double>(), rest.x().to_host<double>());
}

TEST(ReverseChain, CopiesShareTheirNoise) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 20})");
  const Model model = exact_denoiser(three_modes(), process);
  const auto sampler = sampler_of("\"ancestral\"");
  ReverseChain two(process, *sampler, model, {2, 2}, 9),
      copies(process, *sampler, model, {6, 2}, 9, 3);
  const std::vector<double> x = sample(two, 4).to_host<double>();
  std::vector<double> thrice;
  for (int i = 0; i < 3; ++i) thrice.insert(thrice.end(), x.begin(), x.end());
  EXPECT_EQ(sample(copies, 4).to_host<double>(), thrice);
}

// One step from the same x_t with given noise.
std::vector<double> step_with(const GaussianDiffusion& process, const std::string& sampler,
                              const Tensor& noise, int32_t t) {
  const Tensor x_t = normal({4, 2}, "x_t"), at_t = steps({t, t, t, t});
  const Tensor output = exact_denoiser(three_modes(), process)(x_t, at_t);
  const auto made = sampler_of(sampler);
  const std::vector<Sampler::Visit> visits = made->visits(process);
  const auto visit =
      std::find_if(visits.begin(), visits.end(), [t](const Sampler::Visit& v) { return v.t == t; });
  const auto index = static_cast<int32_t>(visit - visits.begin());
  return made->stepper(process, x_t.shape())
      ->step({output, x_t, noise, at_t, steps({index, index, index, index})})
      .x.to_host<double>();
}

TEST(Ddim, IsDeterministicAtEtaZeroOnly) {
  const GaussianDiffusion process = process_of("{}");
  const Tensor a = normal({4, 2}, "a"), b = normal({4, 2}, "b");
  const char* quiet = R"({"name": "ddim", "steps": 10})";
  const char* noisy = R"({"name": "ddim", "steps": 10, "eta": 0.5})";
  EXPECT_EQ(step_with(process, quiet, a, 500), step_with(process, quiet, b, 500));
  EXPECT_NE(step_with(process, noisy, a, 500), step_with(process, noisy, b, 500));
  EXPECT_EQ(step_with(process, noisy, a, 0), step_with(process, noisy, b, 0));
}

TEST(Ddim, WithAllStepsIsAncestralSampling) {
  const GaussianDiffusion process = process_of("{}");
  const DiffusionTables& t = process.tables();
  const NoiseLevels levels(t);
  for (int i = 1; i < 1000; ++i) {
    const DdimCoefficients c = ddim_coefficients(levels.at_time(i), levels.at_time(i - 1), 1);
    EXPECT_NEAR(c.sigma * c.sigma, t.posterior_variance[i], 1e-13);
    EXPECT_NEAR(c.x0, t.posterior_x0[i], 1e-12);
    EXPECT_NEAR(c.xt, t.posterior_xt[i], 1e-12);
  }
  const Tensor noise = normal({4, 2}, "noise");
  for (const auto& [ddim, ancestral] :
       {std::pair(R"({"name": "ddim", "steps": 1000, "eta": 1})", "fixed_small"),
        std::pair(R"({"name": "ddim", "steps": 1000, "sigma_hat": true})", "fixed_large")})
    for (int32_t i : {0, 1, 400, 999}) {
      const auto x = step_with(process, ddim, noise, i);
      const auto expected = step_with(
          process, std::string(R"({"name": "ancestral", "variance": ")") + ancestral + "\"}", noise,
          i);
      for (size_t n = 0; n < x.size(); ++n) EXPECT_NEAR(x[n], expected[n], 1e-12) << ancestral;
    }
}

std::vector<double> visited(const std::string& sampler, const GaussianDiffusion& process) {
  std::vector<double> t;
  for (const Sampler::Visit& visit : sampler_of(sampler)->visits(process)) t.push_back(visit.t);
  return t;
}

TEST(Ddim, Strides) {
  const GaussianDiffusion process = process_of("{}");
  const auto uniform = visited(R"({"name": "ddim", "steps": 4})", process);
  EXPECT_EQ(uniform, (std::vector<double>{750, 500, 250, 0}));
  const auto trailing = visited(R"({"name": "ddim", "steps": 4, "stride": "trailing"})", process);
  EXPECT_EQ(trailing, (std::vector<double>{999, 749, 499, 249}));
  EXPECT_EQ(visited(R"({"name": "ddim", "steps": 1, "stride": "trailing"})", process),
            std::vector<double>{999});
  // linspace(0, sqrt(0.8 T), S)^2, truncated.
  const auto quadratic = visited(R"({"name": "ddim", "steps": 5, "stride": "quadratic"})", process);
  EXPECT_EQ(quadratic, (std::vector<double>{800, 450, 200, 50, 0}));
  const auto dense = visited(R"({"name": "ddim", "steps": 100, "stride": "quadratic"})", process);
  EXPECT_LT(dense.size(), 100u) << "repeated timesteps are visited once";
  EXPECT_TRUE(std::is_sorted(dense.rbegin(), dense.rend()));
  EXPECT_THROW(sampler_of(R"({"name": "ddim", "steps": 1001})")->visits(process), UserError);
}

}  // namespace
}  // namespace ddpm::testing
