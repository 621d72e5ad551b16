// Identities of the derived tables, and the published numbers that follow from them.
#include "diffusion/tables.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

DiffusionTables linear() { return process_of("{}").tables(); }

TEST(Tables, PosteriorVariance) {
  const DiffusionTables t = linear();
  EXPECT_EQ(t.posterior_variance[0], 0);
  EXPECT_NEAR(t.posterior_variance[1], 5.45318766e-05, 1e-13);
  EXPECT_NEAR(t.posterior_variance[2], 8.54891152e-05, 1e-13);
  EXPECT_NEAR(t.posterior_variance[999], 0.01999998353, 1e-11);
  EXPECT_NEAR(t.posterior_log_variance[0], -9.81672513, 1e-8);
  EXPECT_EQ(t.posterior_log_variance[0], t.posterior_log_variance[1]);
  EXPECT_EQ(t.fixed_large_log_variance[0], t.posterior_log_variance[1]);
  EXPECT_EQ(t.fixed_large_log_variance[1], std::log(t.beta[1]));
  EXPECT_NEAR(std::log(t.beta[0]), -9.21034037, 1e-8);
}

TEST(Tables, FirstPosteriorIsThePointX0) {
  const DiffusionTables t = linear();
  EXPECT_EQ(t.posterior_x0[0], 1);
  EXPECT_EQ(t.posterior_xt[0], 0);
}

// Bayes: q(x_{t-1} | x_t, x_0) q(x_t | x_0) = q(x_t | x_{t-1}) q(x_{t-1} | x_0), at any point.
TEST(Tables, PosteriorObeysBayesRule) {
  const auto log_normal = [](double x, double mean, double variance) {
    return -0.5 * (std::log(2 * M_PI * variance) + (x - mean) * (x - mean) / variance);
  };
  for (const char* json : {"{}", R"({"schedule": "cosine"})", R"({"schedule": "quadratic"})"}) {
    const DiffusionTables t = process_of(json).tables();
    for (int i : {1, 2, 10, 500, 998}) {
      const double x0 = 0.3, previous = -0.2, x = 0.7;
      const double posterior = log_normal(previous, t.posterior_x0[i] * x0 + t.posterior_xt[i] * x,
                                          t.posterior_variance[i]);
      const double marginal = log_normal(x, t.signal[i] * x0, 1 - t.alpha_bar[i]);
      const double forward = log_normal(x, std::sqrt(1 - t.beta[i]) * previous, t.beta[i]);
      const double before = log_normal(previous, t.signal[i - 1] * x0, 1 - t.alpha_bar[i - 1]);
      // Quadratics reach 1 / beta[1] ~ 1e4.
      EXPECT_NEAR(posterior + marginal, forward + before, 1e-7) << json << " t = " << i;
    }
  }
}

// The factor between the squared error of epsilon and the KL: beta^2 / (2 s^2 alpha (1 - abar)).
TEST(Tables, WeightsOfTheBound) {
  const DiffusionTables t = linear();
  const auto weight = [&](int i, double variance) {
    return t.beta[i] * t.beta[i] / (2 * variance * (1 - t.beta[i]) * (1 - t.alpha_bar[i]));
  };
  const struct {
    int t;
    double large, small;
  } golden[] = {{1, .2727, .5997},
                {10, .0682, .0790},
                {100, .0100, .01018},
                {500, .00551, .005514},
                {999, .01020, .010205}};
  for (const auto& g : golden) {
    EXPECT_NEAR(weight(g.t, t.beta[g.t]) / g.large, 1, 5e-3) << g.t;
    EXPECT_NEAR(weight(g.t, t.posterior_variance[g.t]) / g.small, 1, 1e-3) << g.t;
  }
}

TEST(Tables, SquaredErrorsOfThePreviousMeanAreTiny) {
  // mu~ = (x_t - beta / noise epsilon) / sqrt(alpha): the ratio of the squared errors.
  const DiffusionTables t = linear();
  const auto ratio = [&](int i) { return std::pow(t.beta[i] / t.noise[i], 2) / (1 - t.beta[i]); };
  EXPECT_NEAR(ratio(1), 6.5e-5, 0.05e-5);
  EXPECT_NEAR(ratio(999), 4.1e-4, 0.05e-4);
}

TEST(Tables, PreviousMeanAmplifiesItsErrorInX0) {
  const DiffusionTables t = linear();
  EXPECT_NEAR(1 / t.posterior_x0[1], 1.83, 0.01);
  EXPECT_NEAR(1 / t.posterior_x0[100], 52.9, 0.1);
  EXPECT_NEAR(1 / t.posterior_x0[500], 327, 1);
  EXPECT_NEAR(1 / t.posterior_x0[999], 7791, 1);
}

// The paper's distortion of 1.97 bits follows from its RMSE of 0.95136, if and only if the first
// step's variance is the second's.
TEST(Tables, DecoderVarianceGivesThePublishedDistortion) {
  const DiffusionTables t = linear();
  const auto bits = [](double log_variance) {
    const double s = std::exp(0.5 * log_variance) * 127.5, rmse = 0.95136;
    return std::log2(s * std::sqrt(2 * M_PI)) + rmse * rmse / (2 * s * s * std::log(2.0));
  };
  EXPECT_NEAR(bits(t.fixed_large_log_variance[0]), 1.9753, 5e-5);
  EXPECT_NEAR(bits(std::log(t.beta[0])), 2.078, 5e-4);
}

}  // namespace
}  // namespace ddpm::testing
