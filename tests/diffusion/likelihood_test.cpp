// The variational bound of the exact denoiser against the true likelihood of a Gaussian mixture.
#include "diffusion/likelihood.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "diffusion/exact_denoiser.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const char* kLearned = R"({"variance": "learned", "loss": "variational"})";

// Mean over images first .. first + count - 1 of the true -log2 p(x) per dimension.
double true_bits(const GaussianMixture& mixture, int64_t first, int64_t count) {
  const Tensor x = points(mixture, first, count);
  double total = 0;
  for (int64_t n = 0; n < count; ++n)
    total -= mixture.log_density({x.data<double>() + 2 * n, 2}) / (2 * std::log(2.0));
  return total / static_cast<double>(count);
}

TEST(Likelihood, BoundsTheTruthTightlyUnderTheRightVariance) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kLearned);
  const Model model = exact_denoiser(mixture, process);
  Estimate gaps[3];  // fixed_small, fixed_large, model; one value per batch of 100 images
  for (int batch = 0; batch < 10; ++batch) {
    Likelihood likelihood(process, model, {});
    likelihood.add(points(mixture, 100 * batch, 100), 100 * batch);
    for (int b = 0; b < 3; ++b)
      gaps[b].add(likelihood.report().bounds[b].total.mean() -
                  true_bits(mixture, 100 * batch, 100));
  }
  for (const Estimate& gap : gaps) EXPECT_GT(gap.mean(), -3 * gap.standard_error());
  // The true reverse steps are not quite normal: that is all that is left of the gap.
  EXPECT_LT(gaps[2].mean(), 0.01 + 3 * gaps[2].standard_error());
  EXPECT_LT(gaps[2].mean(), gaps[1].mean());
  EXPECT_LT(gaps[1].mean(), gaps[0].mean()) << "beta is nearly right for broad modes";
}

TEST(Likelihood, TermsAddUp) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(R"({"timesteps": 50})", 0);
  Likelihood likelihood(process, exact_denoiser(mixture, process), {});
  likelihood.add(points(mixture, 0, 20), 0);
  const LikelihoodReport& report = likelihood.report();
  ASSERT_EQ(report.bounds.size(), 4u);
  for (const VariationalBound& bound : report.bounds) {
    double rate = report.prior.mean();
    for (int t = 1; t < 50; ++t) rate += bound.terms[t].mean();
    EXPECT_NEAR(bound.rate.mean(), rate, 1e-9);
    EXPECT_NEAR(bound.distortion.mean(), bound.terms[0].mean(), 1e-12);
    EXPECT_NEAR(bound.total.mean(), bound.rate.mean() + bound.distortion.mean(), 1e-9);
    EXPECT_EQ(bound.total.count(), 20);
    EXPECT_GT(bound.total.standard_error(), 0);
  }
  EXPECT_EQ(report.rmse_scale, 1) << "continuous data have no grey levels";
  EXPECT_LT(report.rmse(0), report.rmse(49));
}

TEST(Likelihood, DoesNotDependOnTheBatchSplit) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(R"({"timesteps": 20})", 256);
  const auto total = [&](int64_t batch, int evaluations) {
    Likelihood likelihood(process, exact_denoiser(mixture, process),
                          {.evaluations_per_image = evaluations});
    for (int64_t first = 0; first < 12; first += batch)
      likelihood.add(points(mixture, first, std::min(batch, 12 - first)), first);
    return likelihood.report().bounds[0].total.mean();
  };
  EXPECT_EQ(total(12, 0), total(4, 0));
  EXPECT_EQ(total(12, 5), total(5, 5)) << "the last batch is smaller";
}

TEST(Likelihood, FewEvaluationsAreUnbiased) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(R"({"timesteps": 300})", 0);
  const Model model = exact_denoiser(mixture, process);
  const auto bound = [&](int evaluations) {
    Likelihood likelihood(process, model, {.evaluations_per_image = evaluations});
    likelihood.add(points(mixture, 0, 400), 0);
    return likelihood.report().bounds[1];
  };
  const VariationalBound all = bound(0), few = bound(20);
  // The images are the same, so this standard error of `few` is an upper estimate.
  EXPECT_NEAR(few.rate.mean(), all.rate.mean(), 3 * few.rate.standard_error());
  EXPECT_LT(few.rate.standard_error(), 0.1);
  EXPECT_EQ(few.distortion.mean(), all.distortion.mean()) << "t = 0 is never sampled";
  EXPECT_THROW(Likelihood(process, model, {.evaluations_per_image = 1}), UserError);
  EXPECT_THROW(Likelihood(process, model, {.evaluations_per_image = 301}), UserError);
}

TEST(Likelihood, ClippingIsArithmeticOnTheSameOutputs) {
  const GaussianMixture mixture = three_modes();
  const auto bounds = [&](const char* parameterization) {
    const GaussianDiffusion process = process_of(
        fmt::format(R"({{"timesteps": 30, "parameterization": "{}"}})", parameterization));
    int calls = 0;
    // Estimates beyond [-1, 1]: what a network says before it knows better.
    const Model exact = exact_denoiser(mixture, process);
    const Model model = [&](const Tensor& x, const Tensor& t) {
      ++calls;
      const Tensor y = exact(x, t);
      for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] *= 2.5;
      return y;
    };
    Likelihood likelihood(process, model, {});
    likelihood.add(points(mixture, 0, 50), 0);
    EXPECT_EQ(calls, 30) << "one pass for all variants";
    const LikelihoodReport report = likelihood.report();
    EXPECT_LT(report.rmse(29, true), report.rmse(29, false)) << "the data lie in [-1, 1]";
    return std::pair(report.bound("fixed_small", true).total.mean(),
                     report.bound("fixed_small", false).total.mean());
  };
  const auto [clipped, unclipped] = bounds("x0");
  EXPECT_NE(clipped, unclipped);
  const auto [mean_clipped, mean_unclipped] = bounds("previous_mean");
  EXPECT_EQ(mean_clipped, mean_unclipped) << "its x_0 is only looked at";
  const GaussianDiffusion process = process_of("{}");
  EXPECT_THROW(Likelihood(process, {}, {}).report().bound("model", true), UserError)
      << "a fixed variance has no bound of its own";
}

TEST(Likelihood, GoesOnWhereItsStateWasTaken) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kLearned, 256);
  const Model model = exact_denoiser(mixture, process);
  const LikelihoodOptions options{.evaluations_per_image = 7, .seed = 4};
  Likelihood whole(process, model, options), first(process, model, options),
      second(process, model, options);
  for (Likelihood* half : {&whole, &first}) half->add(points(mixture, 0, 5), 0);
  second.restore(first.state());
  for (Likelihood* half : {&whole, &second}) half->add(points(mixture, 5, 5), 5);
  const std::vector<double> a = whole.state(), b = second.state();
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(0, std::memcmp(a.data(), b.data(), a.size() * sizeof(double)));
  EXPECT_EQ(second.report().prior.count(), 10);
}

TEST(Likelihood, IsTheSameInF32) {
  const GaussianMixture mixture = three_modes();
  const auto bounds = [&](DType dtype) {
    const GaussianDiffusion process = process_of(kLearned, 256, dtype);
    const std::vector<float> x = mixture.sample(7, 0, 10);
    const Tensor x0 =
        dtype == DType::kF32 ? Tensor::from_host(x, {10, 2}, Device::kCpu) : points(mixture, 0, 10);
    Likelihood likelihood(process, exact_denoiser(mixture, process), {});
    likelihood.add(x0, 0);
    return likelihood.report().bounds;
  };
  const auto low = bounds(DType::kF32), high = bounds(DType::kF64);
  // A thousand terms, each a mean over two elements with errors near 1e-6.
  for (size_t b = 0; b < low.size(); ++b)
    EXPECT_NEAR(low[b].total.mean(), high[b].total.mean(), 1e-3) << low[b].variance;
}

TEST(Estimate, HasTheStandardErrorOfTheMean) {
  Estimate estimate;
  EXPECT_TRUE(std::isnan(estimate.mean()));
  for (double x : {1.0, 2.0, 4.0, 5.0}) estimate.add(x);
  EXPECT_DOUBLE_EQ(estimate.mean(), 3);
  EXPECT_DOUBLE_EQ(estimate.standard_error(), std::sqrt(10.0 / 3 / 4));
}

}  // namespace
}  // namespace ddpm::testing
