// Edits with the exact denoiser in the network's place: what inpainting draws must be the law of
// the unknown elements given the known ones, which is known in closed form.
#include "diffusion/editing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "diffusion/exact_denoiser.h"
#include "diffusion/inpainting.h"
#include "diffusion/samplers/ddim.h"
#include "framework/cpu/parallel.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const char* kShortProcess = R"({"timesteps": 100, "variance": "learned", "loss": "variational",
    "schedule": {"name": "linear", "rescale_to_steps": true}})";

// Two coordinates that go together: a ridge along the diagonal, as one normal with correlation 0.86
// would be, of nine.
GaussianMixture ridge() {
  GaussianMixture mixture;
  for (int k = -4; k <= 4; ++k) {
    mixture.weights.push_back(1.0 / 9);
    for (int d = 0; d < 2; ++d) {
      mixture.means.push_back(0.15 * k);
      mixture.variances.push_back(0.01);
    }
  }
  return mixture;
}
// Two modes that differ in both; a known 0.1 lies between them, so that either may be meant.
GaussianMixture two_modes() {
  return {.weights = {0.5, 0.5},
          .means = {-0.25, -0.5, 0.35, 0.5},
          .variances = {0.06, 0.01, 0.06, 0.01}};
}

// The law of the second coordinate given the first is a mixture, too, with the responsibilities
// that the first gives the components.
struct Law {
  double mean = 0, variance = 0;
};
Law conditional(const GaussianMixture& mixture, double known) {
  std::vector<double> shares;
  double total = 0;
  for (size_t k = 0; k < mixture.weights.size(); ++k) {
    const double d = known - mixture.means[2 * k], v = mixture.variances[2 * k];
    shares.push_back(mixture.weights[k] * std::exp(-d * d / (2 * v)) / std::sqrt(v));
    total += shares.back();
  }
  Law law;
  for (size_t k = 0; k < shares.size(); ++k) {
    const double share = shares[k] / total, mean = mixture.means[2 * k + 1];
    law.mean += share * mean;
    law.variance += share * (mixture.variances[2 * k + 1] + mean * mean);
  }
  law.variance -= law.mean * law.mean;
  return law;
}

// (count, 2), the first coordinate known.
std::vector<double> inpaint(const GaussianMixture& mixture, double known, int64_t count,
                            const Resampling& resampling, const char* json = "\"ancestral\"") {
  const GaussianDiffusion process = process_of(kShortProcess);
  const auto sampler = sampler_of(json);
  const InpaintingSampler inpainting(*sampler, constant({count, 2}, known), {1, 0}, resampling);
  ReverseChain chain(process, inpainting, exact_denoiser(mixture, process), {count, 2}, 3);
  return sample(chain, 0).to_host<double>();
}

Law drawn(const GaussianMixture& mixture, double known, int64_t count,
          const Resampling& resampling) {
  const std::vector<double> x = inpaint(mixture, known, count, resampling);
  Law law;
  for (int64_t n = 0; n < count; ++n) law.mean += x[2 * n + 1] / static_cast<double>(count);
  for (int64_t n = 0; n < count; ++n) {
    const double d = x[2 * n + 1] - law.mean;
    law.variance += d * d / static_cast<double>(count);
  }
  return law;
}

// Measured with these 2000 images, of the law N(0.300, 0.0199): plain replacement draws the mean
// 0.218 and the variance 0.0441, of 3 walks 0.287 and 0.0277, of 10 walks 0.298 and 0.0231. What is
// left of the variance is the noise that the known one has in the last of 100 steps.
TEST(Repaint, ApproachesTheConditionalLawWherePlainReplacementIsBiased) {
  constexpr int64_t kCount = 2000;
  constexpr double kKnown = 0.3;
  const Law exact = conditional(ridge(), kKnown);
  const double error = std::sqrt(exact.variance / kCount);  // of a mean
  std::vector<Law> laws;
  for (const int64_t times : {1, 3, 10})
    laws.push_back(drawn(ridge(), kKnown, kCount, {.jump_length = 1, .resamplings = times}));
  EXPECT_LT(laws[0].mean, exact.mean - 15 * error);
  EXPECT_GT(laws[0].variance, 2 * exact.variance);
  EXPECT_GT(laws[1].mean, laws[0].mean + 10 * error);
  EXPECT_LT(laws[1].variance, 0.75 * laws[0].variance);
  EXPECT_NEAR(laws[2].mean, exact.mean, 4 * error);
  EXPECT_NEAR(laws[2].variance / exact.variance, 1, 0.25);
}

// Which of two modes it is to be is decided while there is much noise, where the known one says
// little and is drawn anew with every walk. Measured, of a mean of 0.122: 0.023 with plain
// replacement, and no more than 0.061 with 10 walks.
TEST(Repaint, IsStillBiasedBetweenModes) {
  constexpr int64_t kCount = 2000;
  const Law exact = conditional(two_modes(), 0.1);
  const double error = std::sqrt(exact.variance / kCount);
  const Law plain = drawn(two_modes(), 0.1, kCount, {});
  const Law repaint = drawn(two_modes(), 0.1, kCount, {.jump_length = 1, .resamplings = 10});
  EXPECT_LT(plain.mean, exact.mean - 5 * error);
  EXPECT_GT(repaint.mean, plain.mean + error);
  EXPECT_LT(repaint.mean, exact.mean - 3 * error);
}

// Every sampler, whatever its steps are made of.
class InpaintingTest : public ::testing::TestWithParam<const char*> {};

TEST_P(InpaintingTest, KeepsTheKnownToTheBit) {
  const std::vector<double> x = inpaint(ridge(), 0.3, 200, {}, GetParam());
  for (size_t i = 0; i < x.size(); i += 2) {
    EXPECT_EQ(x[i], 0.3);
    // The ridge ends at 0.6, where its deviation is 0.1.
    EXPECT_TRUE(std::abs(x[i + 1]) < 1.1) << x[i + 1];
  }
}

INSTANTIATE_TEST_SUITE_P(All, InpaintingTest,
                         ::testing::Values(R"("ancestral")", R"({"name": "ddim", "steps": 20})",
                                           R"({"name": "dpm_solver", "steps": 20})",
                                           R"({"name": "dpm_solver++", "steps": 20})",
                                           R"({"name": "unipc", "steps": 20})",
                                           R"({"name": "heun", "steps": 21, "churn": 5})",
                                           R"({"name": "heun", "denoise_to_zero": false})"));

TEST(Inpainting, KeepsTheKnownOfANetworkThatDiverges) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 5})", 0, DType::kF32);
  const Model model = [](const Tensor& x, const Tensor&) {
    return Tensor::from_host(std::vector<float>(x.numel(), std::numeric_limits<float>::infinity()),
                             x.shape(), Device::kCpu);
  };
  const auto sampler = sampler_of(R"({"name": "ancestral", "clip_denoised": false})");
  const std::vector<float> images = {0.1F, -0.7F, 0.3F, 1, -1, 0.2F};
  const Tensor known = Tensor::from_host(images, {2, 3}, Device::kCpu);
  const InpaintingSampler inpainting(*sampler, known, {1, 0, 1}, {});
  ReverseChain chain(process, inpainting, model, {2, 3}, 3);
  const std::vector<float> x = sample(chain, 0).to_host<float>();
  for (const size_t i : {0, 2, 3, 5}) EXPECT_EQ(x[i], images[i]);
  for (const size_t i : {1, 4}) EXPECT_FALSE(std::isfinite(x[i]));
}

// By hand: with 6 visits and jumps of 2, visits 3 and 5 are reached with 3 and 1 steps left.
TEST(Repaint, WalksAsItsAuthorsDo) {
  using Walk = std::vector<int32_t>;
  EXPECT_EQ(resampling_walk(4, {.jump_length = 2, .resamplings = 1}), (Walk{0, 1, 2, 3}));
  EXPECT_EQ(resampling_walk(6, {.jump_length = 2, .resamplings = 2}),
            (Walk{0, 1, 2, 1, 2, 3, 4, 3, 4, 5}));
  EXPECT_EQ(resampling_walk(3, {.jump_length = 1, .resamplings = 3}), (Walk{0, 0, 0, 1, 1, 1, 2}));
  // The paper's setting: 24 jumps of 10 steps, 9 times each.
  EXPECT_EQ(resampling_walk(250, {.jump_length = 10, .resamplings = 10}).size(),
            250U + 24 * 9 * 10);
}

TEST(Repaint, RefusesWhatCannotJump) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 40})");
  const auto refuses = [&](const char* sampler_json, int64_t jump) {
    const auto sampler = sampler_of(sampler_json);
    const InpaintingSampler repaint(*sampler, constant({1, 2}, 0), {1, 0},
                                    {.jump_length = jump, .resamplings = 2});
    try {
      static_cast<void>(repaint.visits(process));
    } catch (const UserError&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refuses("\"ancestral\"", 10));
  EXPECT_FALSE(refuses(R"({"name": "ddim", "steps": 11})", 10));
  EXPECT_TRUE(refuses(R"({"name": "ddim", "steps": 10})", 10));
  for (const char* name : {"dpm_solver", "dpm_solver++", "unipc", "heun"})
    EXPECT_TRUE(refuses(fmt::format(R"({{"name": "{}", "steps": 20}})", name).c_str(), 2)) << name;
}

// The images 100 .. 105, drawn `batch` at a time.
std::vector<float> edited(const std::string& method, int64_t batch) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 40})", 0, DType::kF32);
  const auto sampler = sampler_of("\"ancestral\"");
  const Model model = exact_denoiser(three_modes(), process);
  std::vector<float> all;
  for (int64_t first = 100; first < 106; first += batch) {
    const std::vector<float> x0 = three_modes().sample(7, first, batch);
    const Tensor images = Tensor::from_host(x0, {batch, 2}, Device::kCpu);
    std::vector<float> x;
    if (method == "sdedit") {
      ReverseChain chain(process, *sampler, model, {batch, 2}, 5);
      x = sdedit(chain, images, 0.6, first).to_host<float>();
    } else {
      const InpaintingSampler repaint(*sampler, images, {0, 1},
                                      {.jump_length = 5, .resamplings = 3});
      ReverseChain chain(process, repaint, model, {batch, 2}, 5);
      x = sample(chain, first).to_host<float>();
    }
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

TEST(Editing, IsTheSameForAnyBatchSplitAndNumberOfThreads) {
  const int threads = cpu::thread_count();
  for (const char* method : {"sdedit", "repaint"}) {
    cpu::set_thread_count(1);
    const std::vector<float> together = edited(method, 6);
    EXPECT_EQ(edited(method, 2), together) << method;
    EXPECT_EQ(edited(method, 1), together) << method;
    cpu::set_thread_count(3);
    EXPECT_EQ(edited(method, 6), together) << method;
  }
  cpu::set_thread_count(threads);
}

TEST(SdEdit, IsTheImageAtZeroAndASampleAtOne) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 40})");
  const Model model = exact_denoiser(three_modes(), process);
  const Tensor x0 = points(three_modes(), 0, 4);
  for (const char* json : {R"("ancestral")", R"({"name": "heun", "steps": 21})"}) {
    const auto sampler = sampler_of(json);
    ReverseChain chain(process, *sampler, model, {4, 2}, 5);
    const std::vector<double> drawn = sample(chain, 9).to_host<double>();
    EXPECT_EQ(sdedit(chain, x0, 0, 9).to_host<double>(), x0.to_host<double>());
    EXPECT_EQ(sdedit(chain, x0, 1, 9).to_host<double>(), drawn);
    const std::vector<double> between = sdedit(chain, x0, 0.5, 9).to_host<double>();
    EXPECT_NE(between, drawn);
    EXPECT_NE(between, x0.to_host<double>());
  }
}

// Of one normal N(m, v): with x_t = signal x_0 + noise z and the gain g of its posterior,
//   x_0' ~ N(m + g signal (x_0 - m), (g noise)^2 + v (1 - g signal)).
TEST(SdEdit, DrawsWhatTheNoiseLeavesOpen) {
  constexpr int64_t kCount = 4000;
  const double m = 0.2, v = 0.04, x0 = 0.5;
  const GaussianMixture one{.weights = {1}, .means = {m}, .variances = {v}};
  const GaussianDiffusion process = process_of(kShortProcess);
  const auto sampler = sampler_of("\"ancestral\"");
  ReverseChain chain(process, *sampler, exact_denoiser(one, process), {kCount, 1}, 5);
  for (const double strength : {0.1, 0.3, 0.6}) {
    const std::vector<double> x =
        sdedit(chain, constant({kCount, 1}, x0), strength, 0).to_host<double>();
    const auto t = static_cast<size_t>(std::llround(strength * 100)) - 1;
    const double signal = process.tables().signal[t], noise = process.tables().noise[t];
    const double g = signal * v / (signal * signal * v + noise * noise);
    const double mean = m + g * signal * (x0 - m);
    const double variance = g * g * noise * noise + v * (1 - g * signal);
    double sum = 0, square = 0;
    for (const double value : x) {
      sum += value;
      square += (value - mean) * (value - mean);
    }
    // Four standard errors, and 3 % of a variance for steps of finite length.
    EXPECT_NEAR(sum / kCount, mean, 4 * std::sqrt(variance / kCount)) << strength;
    EXPECT_NEAR(square / kCount / variance, 1, 0.03 + 4 * std::sqrt(2.0 / kCount)) << strength;
  }
}

// The probability flow of one normal N(m, v) keeps (x_t - signal m) / sqrt(signal^2 v + noise^2).
TEST(Bridge, TakesOneNormalToAnother) {
  const GaussianMixture a{.weights = {1}, .means = {-0.4}, .variances = {0.04}};
  const GaussianMixture b{.weights = {1}, .means = {0.3}, .variances = {0.01}};
  const GaussianDiffusion process = process_of("{}");
  const auto sampler = sampler_of(R"({"name": "ddim", "steps": 500, "clip_denoised": false})");
  const auto& ddim = dynamic_cast<const DdimSampler&>(*sampler);
  const DdimInversion inversion(ddim);
  ReverseChain there(process, inversion, exact_denoiser(a, process), {3, 1}, 0);
  ReverseChain back(process, ddim, exact_denoiser(b, process), {3, 1}, 0);
  ReverseChain home(process, ddim, exact_denoiser(a, process), {3, 1}, 0);
  const std::vector<double> images = {-0.7, -0.4, -0.1};
  const Tensor x0 = Tensor::from_host(images, {3, 1}, Device::kCpu);
  EXPECT_EQ(bridge(there, back, x0, 0, {}).to_host<double>(), images);
  EXPECT_EQ(bridge_steps(there, back, 0), 0);
  EXPECT_EQ(bridge_steps(there, back, 1), 499 + 500);
  for (const double strength : {0.3, 1.0}) {
    const auto begin = static_cast<size_t>(back.visits()[edit_begins(back, strength)].t);
    const double signal = process.tables().signal[begin], noise = process.tables().noise[begin];
    const auto spread = [&](double v) { return std::sqrt(signal * signal * v + noise * noise); };
    int64_t steps = 0;
    const std::vector<double> x =
        bridge(there, back, x0, strength, [&](int64_t, const auto&) { ++steps; }).to_host<double>();
    EXPECT_EQ(steps, bridge_steps(there, back, strength));
    const std::vector<double> same = bridge(there, home, x0, strength).to_host<double>();
    for (size_t i = 0; i < images.size(); ++i) {
      const double x_t = signal * -0.4 + spread(0.04) * (images[i] + 0.4) / 0.2;
      const double expected = 0.3 + 0.1 * (x_t - signal * 0.3) / spread(0.01);
      // Euler's steps on both ways err by some 1 / 500 of the way.
      EXPECT_NEAR(x[i], expected, 0.01) << strength << " of " << images[i];
      EXPECT_NEAR(same[i], images[i], 0.01) << strength;
    }
  }
}

}  // namespace
}  // namespace ddpm::testing
