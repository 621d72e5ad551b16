// The exact denoiser against an independent route: Tweedie's formulas from the mixture's score.
#include "diffusion/exact_denoiser.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

// E[x_0 | x_t] = (x_t + noise^2 score) / signal
double tweedie(const GaussianMixture& mixture, std::vector<double> x, double signal, double noise,
               int d) {
  return (x[d] + noise * noise * mixture.diffused(signal, noise).score(x)[d]) / signal;
}

TEST(ExactDenoiser, AgreesWithTheScore) {
  const GaussianMixture mixture = three_modes();
  for (double signal : {0.999, 0.8, 0.3}) {
    const double noise = std::sqrt(1 - signal * signal), h = 1e-5;
    const std::vector<double> x = {0.1, 0.2};
    const Denoised x0 = denoise(mixture, x, signal, noise);
    for (int d = 0; d < 2; ++d) {
      EXPECT_NEAR(x0.mean[d], tweedie(mixture, x, signal, noise, d), 1e-12);
      // Var[x_0 | x_t] = noise^2 / signal d E[x_0 | x_t] / d x_t
      std::vector<double> up = x, down = x;
      up[d] += h;
      down[d] -= h;
      const double slope =
          (tweedie(mixture, up, signal, noise, d) - tweedie(mixture, down, signal, noise, d)) /
          (2 * h);
      EXPECT_NEAR(x0.variance[d], noise * noise / signal * slope, 1e-8);
    }
  }
}

TEST(ExactDenoiser, ReturnsTheMeanOfTheDataFromPureNoise) {
  const Denoised x0 = denoise(three_modes(), std::vector<double>{1.5, -2}, 0, 1);
  EXPECT_NEAR(x0.mean[0], -0.5 * 0.5 + 0.3 * 0.5, 1e-15);
  EXPECT_NEAR(x0.mean[1], -0.5 * 0.4 - 0.3 * 0.3 + 0.2 * 0.6, 1e-15);
}

TEST(ExactDenoiser, TellsALearnedVarianceTheTrueOneOfTheReverseStep) {
  // One normal: the reverse step is normal too, and its variance is known in closed form.
  const double v = 0.04;
  const GaussianMixture one{.weights = {1}, .means = {0.1, 0.2}, .variances = {v, v}};
  for (const char* variance : {"learned", "learned_range"}) {
    const GaussianDiffusion p =
        process_of(std::string(R"({"loss": "variational", "variance": ")") + variance + "\"}");
    const Tensor t = steps({40}), x_t = constant({1, 2}, 0.3);
    const auto reverse = p.p_mean_variance(exact_denoiser(one, p)(x_t, t), x_t, t, false);
    const double alpha = 1 - p.tables().beta[40], before = p.tables().alpha_bar[39];
    const double marginal = before * v + 1 - before;  // of x_{t-1}
    const double expected =
        marginal * p.tables().beta[40] / (alpha * marginal + p.tables().beta[40]);
    EXPECT_NEAR(std::exp(at(reverse.log_variance, 0)) / expected, 1, 1e-12) << variance;
  }
}

}  // namespace
}  // namespace ddpm::testing
