// The likelihood under the flow of the exact denoiser against the true one of a Gaussian mixture.
#include "diffusion/flow_likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>

#include "diffusion/exact_denoiser.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr int64_t kDimension = 16;

GaussianMixture images() { return smooth_image_mixture(3, {4, 4, 1}, 0.2, 3); }
Tensor examples(int64_t first, int64_t count) {
  return points(images(), first, count).reshape({count, 4, 4, 1});
}
// The same at the middle of the nearest of `levels` grey levels.
Tensor in_levels(Tensor x, int levels) {
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& v = x.data<double>()[i];
    v = std::round((v + 1) / 2 * (levels - 1)) * 2 / (levels - 1) - 1;
  }
  return x;
}
// Mean of -log2 p per dimension.
double bits(const GaussianMixture& mixture, const Tensor& x) {
  double sum = 0;
  for (int64_t n = 0; n < x.shape()[0]; ++n)
    sum -= mixture.log_density({x.data<double>() + n * kDimension, kDimension});
  return sum / static_cast<double>(x.numel()) / std::numbers::ln2;
}
FlowLikelihoodReport measure(const GaussianDiffusion& process, const Tensor& x,
                             const FlowLikelihoodOptions& options) {
  FlowLikelihood likelihood(process, exact_denoiser(images(), process), options);
  likelihood.add(x, 0);
  return likelihood.report();
}

// alpha_bar is 4e-5 at the last timestep, where N(0, 1) stands for the law of x_T: per dimension
// that is off by the few 1e-3 of the signal.
constexpr double kPrior = 2e-3;

TEST(FlowLikelihood, OfContinuousDataIsTheirDensity) {
  const GaussianDiffusion process = process_of("{}");
  const double spread = process.tables().noise[0] / process.tables().signal[0];
  const Tensor x = examples(0, 20);
  const FlowLikelihoodReport report = measure(process, x, {.uniform = true});
  EXPECT_NEAR(report.bits.mean(), bits(images().diffused(1, spread), x), kPrior);
  EXPECT_EQ(report.bits.count(), 20);
  EXPECT_EQ(report.probe_error(), 0) << "16 dimensions are few: exact";
  EXPECT_GT(report.evaluations.mean(), 50);
}

// Levels are far closer together than the mixture's modes are wide, so that the probability of one
// is density times width, but for a curvature of (width / deviation)^2 / 24.
TEST(FlowLikelihood, BoundsTheProbabilityOfGreyLevels) {
  const GaussianDiffusion process = process_of(R"({"variance": "fixed_small"})", 64);
  GaussianMixture inside = smooth_image_mixture(3, {4, 4, 1}, 0.1, 3);  // of [-1, 1]
  for (double& mean : inside.means) mean /= 2;
  const Tensor x = in_levels(points(inside, 0, 60).reshape({60, 4, 4, 1}), 64);
  const double truth = bits(inside, x) - std::log2(2.0 / 63);
  for (const bool uniform : {true, false}) {
    FlowLikelihood likelihood(process, exact_denoiser(inside, process), {.uniform = uniform});
    likelihood.add(x, 0);
    const Estimate found = likelihood.report().bits;
    EXPECT_GT(found.mean(), truth - kPrior - 0.02) << uniform;
    // The decoder's variance is beta tilde of the second step, half that of the noise at t = 0.
    EXPECT_LT(found.mean(), truth + (uniform ? 0.05 : 0.2)) << uniform;
  }
}

// What "noise" is for: levels further apart than the noise of t = 0.
TEST(FlowLikelihood, OfFewLevelsIsThatOfTheNoise) {
  // Two levels, each pixel one of them with probability 1/2: one bit a dimension, exactly. As a
  // mixture: modes so narrow that the noise of t = 0 hides their width.
  const GaussianMixture coins{.weights = {0.25, 0.25, 0.25, 0.25},
                              .means = {-1, -1, -1, 1, 1, -1, 1, 1},
                              .variances = std::vector<double>(8, 1e-8)};
  const GaussianDiffusion process = process_of(R"({"variance": "fixed_small"})", 2);
  const Tensor x = Tensor::from_host(coins.means, {4, 2}, Device::kCpu);
  const auto of = [&](bool uniform) {
    FlowLikelihood likelihood(process, exact_denoiser(coins, process), {.uniform = uniform});
    likelihood.add(x, 0);
    return likelihood.report().bits;
  };
  EXPECT_NEAR(of(false).mean(), 1, 2 * kPrior);
  EXPECT_GT(of(true).mean(), 100) << "between the levels there is nothing";
}

TEST(FlowLikelihood, SaysHutchinsonsError) {
  const GaussianDiffusion process = process_of("{}");
  const Tensor wide =
      points(smooth_image_mixture(3, {6, 6, 1}, 0.2, 3), 0, 12).reshape({12, 6, 6, 1});
  const auto of = [&](int64_t probes) {
    FlowLikelihood likelihood(process,
                              exact_denoiser(smooth_image_mixture(3, {6, 6, 1}, 0.2, 3), process),
                              {.probes = probes, .uniform = true});
    likelihood.add(wide, 0);
    return likelihood.report();
  };
  const FlowLikelihoodReport exact = of(0), few = of(2), many = of(20);
  EXPECT_EQ(exact.probe_error(), 0);
  EXPECT_GT(few.probe_error(), 0);
  EXPECT_NEAR(few.bits.mean(), exact.bits.mean(), 3 * few.probe_error());
  EXPECT_NEAR(many.bits.mean(), exact.bits.mean(), 3 * many.probe_error());
  // A tenth of the variance; that of two probes is itself known to a factor of two or so.
  EXPECT_NEAR(std::log(few.probe_error() / many.probe_error()), std::log(10) / 2, 0.7);
}

TEST(FlowLikelihood, GoesOnWhereItsStateWasTakenInOtherBatches) {
  const GaussianDiffusion process = process_of("{}", 256, DType::kF32);
  const Model model = exact_denoiser(images(), process);
  const std::vector<float> values = images().sample(7, 0, 6);
  const auto batch = [&](int64_t begin, int64_t count) {
    return Tensor::from_host(
        std::vector<float>(values.begin() + 16 * begin, values.begin() + 16 * (begin + count)),
        {count, 4, 4, 1}, Device::kCpu);
  };
  for (const bool uniform : {true, false}) {
    const FlowLikelihoodOptions options{.uniform = uniform, .seed = 4};
    FlowLikelihood whole(process, model, options), first(process, model, options),
        second(process, model, options);
    whole.add(batch(0, 6), 0);
    first.add(batch(0, 4), 0);
    second.restore(first.state());
    second.add(batch(4, 2), 4);
    const std::vector<double> a = whole.state(), b = second.state();
    EXPECT_EQ(0, std::memcmp(a.data(), b.data(), a.size() * sizeof(double)));
  }
}

}  // namespace
}  // namespace ddpm::testing
