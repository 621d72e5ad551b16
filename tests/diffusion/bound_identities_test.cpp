// What the paper says of its bound, on data whose perfect network is known: it is the same number
// in the form of eq. 3 and of eq. 5, with one step it is the bound of a variational autoencoder,
// and it tightens with the number of steps.
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/host_values.h"
#include "diffusion/likelihood.h"
#include "framework/ops/losses.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

// log2 N(x; mean, exp(log_variance)), summed over the two coordinates of sample n.
double log2_normal(const Tensor& x, const Tensor& mean, const Tensor& log_variance, int64_t n) {
  double sum = 0;
  for (int64_t d = 2 * n; d < 2 * n + 2; ++d) {
    const double v = std::exp(at(log_variance, d)), delta = at(x, d) - at(mean, d);
    sum -= 0.5 * (std::log(2 * M_PI * v) + delta * delta / v) / std::log(2.0);
  }
  return sum;
}

// Eq. 3 as it stands: along x_0 -> x_1 -> .. -> x_T, drawn step by step,
//   -log p(x_T) - sum_t log p(x_{t-1} | x_t) / q(x_t | x_{t-1}), in bits per dimension.
Estimate ratio_form(const GaussianDiffusion& process, const Model& model, const Tensor& x0,
                    const Tensor& fixed_log_variance) {
  const int64_t count = x0.shape()[0];
  const std::vector<double>& beta = process.tables().beta;
  std::vector<double> bits(static_cast<size_t>(count));
  Tensor x = x0;
  for (int t = 0; t < process.timesteps(); ++t) {
    const Tensor z = normal(x.shape(), "step " + std::to_string(t));
    const Tensor next = Tensor::like(x), forward_mean = Tensor::like(x);
    for (int64_t i = 0; i < x.numel(); ++i) {
      forward_mean.data<double>()[i] = std::sqrt(1 - beta[t]) * at(x, i);
      next.data<double>()[i] = at(forward_mean, i) + std::sqrt(beta[t]) * at(z, i);
    }
    const Tensor forward = constant(x.shape(), std::log(beta[t]));
    const Tensor at_t = steps(std::vector<int32_t>(count, t));
    GaussianDiffusion::Reverse p =
        process.p_mean_variance(model(next, at_t), next, at_t, /*clip_denoised=*/false);
    if (fixed_log_variance) p.log_variance = constant(x.shape(), at(fixed_log_variance, t));
    for (int64_t n = 0; n < count; ++n)
      bits[n] -=
          log2_normal(x, p.mean, p.log_variance, n) - log2_normal(next, forward_mean, forward, n);
    x = next;
  }
  const Tensor zero = constant(x.shape(), 0);
  Estimate form;
  for (int64_t n = 0; n < count; ++n) form.add((bits[n] - log2_normal(x, zero, zero, n)) / 2);
  return form;
}

// The learned variance is the true one; fixed_small is not, and the identity holds all the same.
TEST(Bound, IsTheSameAsRatiosAndAsDivergences) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(
      R"({"timesteps": 40, "schedule": "cosine", "variance": "learned", "loss": "variational"})");
  const Model model = exact_denoiser(mixture, process);
  const Tensor x0 = points(mixture, 0, 4000);
  Likelihood likelihood(process, model, {.seed = 3});
  likelihood.add(x0, 0);
  const Tensor small = process.upload(process.tables().posterior_log_variance);
  for (const char* variance : {"model", "fixed_small"}) {
    const Estimate divergences = likelihood.report().bound(variance, false).total;
    const Estimate ratios =
        ratio_form(process, model, x0, variance == std::string("model") ? Tensor() : small);
    // Both means are over the same images, so the error of their difference is at most the sum.
    EXPECT_NEAR(ratios.mean(), divergences.mean(),
                3 * (ratios.standard_error() + divergences.standard_error()))
        << variance;
    EXPECT_LT(ratios.standard_error(), 0.1) << variance << ": the comparison says something";
  }
}

// One Gaussian of variance v, one step: encoder q(z | x) = N(signal x, noise^2), prior N(0, 1),
// decoder the exact posterior of x given z. The evidence bound of that autoencoder in closed form.
TEST(Bound, OfOneStepIsThatOfAVariationalAutoencoder) {
  constexpr double kMean = 0.3, kV = 0.04, kBeta = 0.6;
  const GaussianMixture gaussian{.weights = {1}, .means = {kMean, kMean}, .variances = {kV, kV}};
  const GaussianDiffusion process = process_of(
      R"({"timesteps": 1, "schedule": {"name": "constant", "beta": 0.6}, "variance": "learned",
          "loss": "variational"})");
  const Tensor x0 = points(gaussian, 0, 20000);
  Likelihood likelihood(process, exact_denoiser(gaussian, process), {.seed = 5});
  likelihood.add(x0, 0);
  const VariationalBound& bound = likelihood.report().bound("model", false);

  const double signal = std::sqrt(1 - kBeta), marginal = signal * signal * kV + kBeta;
  const double gain = signal * kV / marginal, decoder = kV * kBeta / marginal;
  double rate = 0, distortion = 0;
  for (int64_t i = 0; i < x0.numel(); ++i) {
    const double x = at(x0, i), centred = x - kMean;
    rate += 0.5 * (signal * signal * x * x + kBeta - 1 - std::log(kBeta));
    // E over z of (x - m - gain (z - signal m))^2
    const double error = std::pow(centred * (1 - gain * signal), 2) + gain * gain * kBeta;
    distortion += 0.5 * (std::log(2 * M_PI * decoder) + error / decoder);
  }
  const double scale = 1 / (std::log(2.0) * static_cast<double>(x0.numel()));
  // The divergence is in closed form on both sides.
  EXPECT_NEAR(bound.rate.mean(), rate * scale, 1e-12);
  EXPECT_NEAR(bound.distortion.mean(), distortion * scale, 4 * bound.distortion.standard_error());
  EXPECT_LT(bound.distortion.standard_error(), 0.01);
  EXPECT_EQ(bound.terms.size(), 1u);
}

TEST(Bound, TightensWithTheNumberOfSteps) {
  const GaussianMixture mixture = three_modes();
  const Tensor x0 = points(mixture, 0, 1000);
  double truth = 0;
  for (int64_t n = 0; n < 1000; ++n)
    truth -= mixture.log_density({x0.data<double>() + 2 * n, 2}) / (2 * std::log(2.0));
  truth /= 1000;
  double before = INFINITY, error_before = 0;
  for (const int timesteps : {1, 2, 4, 16, 64, 256}) {
    const GaussianDiffusion process =
        process_of(fmt::format(R"({{"timesteps": {}, "schedule": "cosine", "variance": "learned",
                         "loss": "variational"}})",
                               timesteps));
    Likelihood likelihood(process, exact_denoiser(mixture, process), {});
    likelihood.add(x0, 0);
    const Estimate total = likelihood.report().bound("model", false).total;
    EXPECT_GT(total.mean(), truth - 3 * total.standard_error()) << timesteps;
    EXPECT_LT(total.mean(), before + 3 * (total.standard_error() + error_before)) << timesteps;
    if (timesteps <= 16) {
      EXPECT_LT(total.mean(), before - 0.02) << timesteps;
    }
    if (timesteps == 256) {
      EXPECT_NEAR(total.mean(), truth, 0.02 + 3 * total.standard_error());
    }
    before = total.mean();
    error_before = total.standard_error();
  }
}

}  // namespace
}  // namespace ddpm::testing
