// The probability flow of the exact denoiser: where it takes points is known, and so is the density
// that it gives them.
#include "diffusion/probability_flow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "diffusion/exact_denoiser.h"
#include "diffusion/exact_flow.h"
#include "diffusion/host_values.h"
#include "diffusion/likelihood.h"
#include "diffusion/solver_bench.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

GaussianMixture images() { return smooth_image_mixture(3, {4, 4, 1}, 0.2, 3); }

// Of a mixture, at the first noise level, as if its points were x_0 and noised.
std::vector<double> first_points(const GaussianMixture& mixture, const NoiseLevel& first,
                                 int64_t count) {
  const std::vector<float> x = mixture.diffused(first.signal, first.noise).sample(7, 0, count);
  return {x.begin(), x.end()};
}

double root_mean_square(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::vector<double> signs(Shape shape, const std::string& site) {
  std::vector<double> v = normal(shape, site).to_host<double>();
  for (double& value : v) value = value < 0 ? -1 : 1;
  return v;
}

TEST(ExactDenoiser, HasItsGradient) {
  const GaussianMixture mixture = images();
  for (const char* variant :
       {R"({"parameterization": "epsilon"})", R"({"parameterization": "x0"})",
        R"({"parameterization": "velocity", "variance": "learned", "loss": "variational"})"}) {
    const GaussianDiffusion process = process_of(variant);
    const Model model = exact_denoiser(mixture, process);
    const Tensor t = Tensor::from_host(std::vector<double>{40.25, 700}, {2}, Device::kCpu);
    const Tensor direction = normal({2, 4, 4, 1}, "direction");
    Tensor x = normal({2, 4, 4, 1}, "x");
    const auto along = [&](const Tensor& at) {
      return sum(multiply(process.split(model(at, t), at).prediction, direction));
    };
    x.set_requires_grad(true);
    Tape tape;
    tape.backward(along(x));
    const double h = 1e-6;
    for (int64_t i = 0; i < x.numel(); ++i) {
      double sides[2];
      for (const int side : {0, 1}) {
        Tensor moved = Tensor::from_host(x.to_host<double>(), x.shape(), Device::kCpu);
        moved.data<double>()[i] += side == 0 ? -h : h;
        sides[side] = at(along(moved), 0);
      }
      EXPECT_NEAR(at(x.grad(), i), (sides[1] - sides[0]) / (2 * h), 1e-6) << variant << i;
    }
  }
}

TEST(ProbabilityFlow, FollowsTheExactFlow) {
  const GaussianDiffusion process = process_of("{}");
  for (const auto& [mixture, shape] :
       {std::pair(three_modes(), Shape{8, 2}), std::pair(images(), Shape{3, 4, 4, 1})}) {
    ProbabilityFlow flow(process, exact_denoiser(mixture, process), shape,
                         {.atol = 1e-9, .rtol = 1e-9}, "test");
    const NoiseLevel first = flow.levels().first(), last = flow.levels().last();
    const std::vector<double> x_T = normal(shape, "x_T").to_host<double>();
    const std::vector<double> truth = exact_flow(mixture, x_T, last, first);
    // Errors of the steps add up over ten e-folds of the noise.
    EXPECT_LT(root_mean_square(flow.transport(x_T, last, first).y, truth), 1e-7);
  }
}

TEST(ProbabilityFlow, IsOfFifthOrderWithEvenSteps) {
  const GaussianDiffusion process = process_of("{}");
  const GaussianMixture mixture = three_modes();
  const Shape shape{8, 2};
  const std::vector<double> x_T = normal(shape, "x_T").to_host<double>();
  std::vector<SolverBench::Result> results;
  for (const int steps : {60, 90, 135, 200, 300}) {  // to errors of 2e-13, above rounding
    const NoiseLevels levels(process.tables());
    const double length = (levels.first().log_snr - levels.last().log_snr) / steps;
    ProbabilityFlow flow(process, exact_denoiser(mixture, process), shape,
                         {.atol = kInfinity, .rtol = 0, .first_step = length, .max_step = length},
                         "test");
    const std::vector<double> truth = exact_flow(mixture, x_T, levels.last(), levels.first());
    results.push_back(
        {steps, root_mean_square(flow.transport(x_T, levels.last(), levels.first()).y, truth)});
  }
  // Or better: where the term of fifth order is small, that of the sixth shows.
  EXPECT_GT(observed_order(results), 4.75);
}

TEST(ProbabilityFlow, ComesBackToWithinItsTolerance) {
  const GaussianDiffusion process = process_of("{}");
  const GaussianMixture mixture = three_modes();
  std::vector<SolverBench::Result> results;
  for (const double tolerance : {1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
    ProbabilityFlow flow(process, exact_denoiser(mixture, process), {16, 2},
                         {.atol = tolerance, .rtol = tolerance}, "test");
    const NoiseLevel first = flow.levels().first(), last = flow.levels().last();
    const std::vector<double> x = first_points(mixture, first, 16);
    const OdeSolution there = flow.transport(x, first, last);
    const double error = root_mean_square(flow.transport(there.y, last, first).y, x);
    // On the way to x_T the noise, and with it what an error is, grows from 0.1 to 1.
    EXPECT_LT(error, 20 * tolerance);
    results.push_back({static_cast<int64_t>(std::llround(1 / tolerance)), error});
  }
  EXPECT_NEAR(observed_order(results), 1, 0.25);
}

// log p(x) of the flow is that of the mixture, whose law at the last timestep is not quite N(0, 1):
// with the true law there the flow is exact, with N(0, 1) it is off by what the two differ.
TEST(ProbabilityFlow, HasTheTrueDensity) {
  for (const char* variant : {R"({"parameterization": "epsilon"})",
                              R"({"parameterization": "velocity", "schedule": "cosine"})"})
    for (const auto& [mixture, shape] :
         {std::pair(three_modes(), Shape{6, 2}), std::pair(images(), Shape{2, 4, 4, 1})}) {
      const GaussianDiffusion process = process_of(variant);
      ProbabilityFlow flow(process, exact_denoiser(mixture, process), shape,
                           {.atol = 1e-10, .rtol = 1e-10}, "test");
      const NoiseLevel first = flow.levels().first(), last = flow.levels().last();
      const auto dimension = static_cast<size_t>(mixture.dimension());
      const std::vector<double> x = first_points(mixture, first, shape[0]);
      const auto density = flow.transport_density(x, first, last, {});
      for (size_t n = 0; n < density.log_ratio.size(); ++n) {
        const auto row = [&](const std::vector<double>& of) {
          return std::span(&of[n * dimension], dimension);
        };
        const double truth = mixture.diffused(first.signal, first.noise).log_density(row(x));
        const double at_last =
            mixture.diffused(last.signal, last.noise).log_density(row(density.x));
        EXPECT_NEAR(at_last + density.log_ratio[n], truth, 1e-6) << variant;
        double prior = 0;
        for (const double v : row(density.x)) prior -= (v * v + std::log(2 * std::numbers::pi)) / 2;
        EXPECT_LT(std::abs(prior - at_last), 0.02) << "alpha_bar is 4e-5 at the end, or less";
      }
    }
}

TEST(ProbabilityFlow, HutchinsonAgreesWithinItsError) {
  const GaussianDiffusion process = process_of("{}");
  const GaussianMixture mixture = images();
  const Shape shape{2, 4, 4, 1};
  ProbabilityFlow flow(process, exact_denoiser(mixture, process), shape, {}, "test");
  const NoiseLevel first = flow.levels().first(), last = flow.levels().last();
  const std::vector<double> x = first_points(mixture, first, shape[0]);
  const auto exact = flow.transport_density(x, first, last, {});
  constexpr size_t kProbes = 60;
  std::vector<std::vector<double>> probes;
  for (size_t k = 0; k < kProbes; ++k) probes.push_back(signs(shape, "probe " + std::to_string(k)));
  const auto estimated = flow.transport_density(x, first, last, probes);
  ASSERT_EQ(estimated.log_ratio.size(), 2 * kProbes);
  for (size_t n = 0; n < 2; ++n) {
    Estimate estimate;
    for (size_t k = 0; k < kProbes; ++k) estimate.add(estimated.log_ratio[n * kProbes + k]);
    EXPECT_GT(estimate.standard_error(), 0.01) << "or the next line says nothing";
    EXPECT_NEAR(estimate.mean(), exact.log_ratio[n], 3 * estimate.standard_error());
  }
}

TEST(ProbabilityFlow, ImagesDoNotDependOnTheirBatch) {
  const GaussianDiffusion process = process_of("{}", 0, DType::kF32);
  const GaussianMixture mixture = images();
  const auto run = [&](int64_t begin, int64_t count) {
    ProbabilityFlow flow(process, exact_denoiser(mixture, process), Shape{count, 4, 4, 1}, {},
                         "test");
    const std::vector<double> all = first_points(mixture, flow.levels().first(), 4),
                              probe = signs({4, 4, 4, 1}, "probe");
    const auto part = [&](const std::vector<double>& of) {
      return std::vector<double>(of.begin() + 16 * begin, of.begin() + 16 * (begin + count));
    };
    return flow.transport_density(part(all), flow.levels().first(), flow.levels().last(),
                                  {part(probe)});
  };
  const auto together = run(0, 4);
  for (int64_t n = 0; n < 4; ++n) {
    const auto alone = run(n, 1);
    EXPECT_EQ(alone.log_ratio[0], together.log_ratio[n]);
    EXPECT_EQ(alone.evaluations[0], together.evaluations[n]);
    for (int64_t d = 0; d < 16; ++d) EXPECT_EQ(alone.x[d], together.x[16 * n + d]);
  }
}

TEST(ProbabilityFlow, SaysWhomItServes) {
  const GaussianDiffusion mean = process_of(R"({"parameterization": "previous_mean"})");
  EXPECT_THROW(check_flow(mean, "test"), UserError);
  const GaussianDiffusion to_nothing =
      process_of(R"({"schedule": "jsd", "parameterization": "x0"})");
  EXPECT_THROW(check_flow(to_nothing, "test"), UserError);
  EXPECT_NO_THROW(check_flow(process_of("{}"), "test"));
}

}  // namespace
}  // namespace ddpm::testing
