// Weightings of the squared error, and schedules that end in pure noise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/ops/losses.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;

const std::vector<int32_t> kSteps = {0, 1, 10, 250, 500, 750, 999};

// What a process makes of one wrong prediction at every one of kSteps.
struct Errors {
  explicit Errors(const std::string& json) : process(process_of(json)) {
    const auto rows = static_cast<int64_t>(kSteps.size());
    const Tensor x0 = normal({rows, 5}, "x0"), noise = normal({rows, 5}, "noise"),
                 output = normal({rows, 5}, "output"), t = steps(kSteps);
    const Model model = [&](const Tensor&, const Tensor&) { return output; };
    losses = process.training_losses(model, x0, t, noise);
    of_x0 = squared_error(process.x0(output, process.q_sample(x0, t, noise), t), x0);
  }
  double snr(size_t i) const { return process.tables().snr[static_cast<size_t>(kSteps[i])]; }

  GaussianDiffusion process;
  Tensor losses, of_x0;  // (steps)
};

std::string json_of(const std::string& parameterization, const std::string& weighting) {
  return fmt::format(R"({{"parameterization": "{}", "weighting": {}}})", parameterization,
                     weighting);
}

TEST(Weightings, CountTheErrorOfX0AsPublishedWhateverIsPredicted) {
  const struct {
    const char* json;
    double (*of_x0)(double snr);
  } weightings[] = {
      {R"("x0")", [](double) { return 1.0; }},
      {R"("snr")", [](double snr) { return snr; }},
      {R"("truncated_snr")", [](double snr) { return snr > 1 ? snr : 1; }},
      {R"("snr_plus_one")", [](double snr) { return snr + 1; }},
      {R"("min_snr")", [](double snr) { return snr < 5 ? snr : 5; }},
      {R"({"name": "min_snr", "gamma": 0.5})", [](double snr) { return snr < 0.5 ? snr : 0.5; }},
      {R"("p2")", [](double snr) { return snr / (1 + snr); }},
      {R"({"name": "p2", "k": 2, "gamma": 0.5})",
       [](double snr) { return snr / std::sqrt(2 + snr); }},
  };
  for (const std::string& parameterization : parameterizations().names())
    for (const auto& weighting : weightings) {
      const Errors e(json_of(parameterization, weighting.json));
      for (size_t i = 0; i < kSteps.size(); ++i) {
        // previous_mean finds x_0 by a division of small differences: up to 1e4 roundings.
        const double expected = weighting.of_x0(e.snr(i)) * at(e.of_x0, i);
        EXPECT_NEAR(at(e.losses, i), expected, 1e-10 * expected)
            << parameterization << " " << weighting.json << " t = " << kSteps[i];
      }
    }
}

// The table of Salimans & Ho's section 4, and Min-SNR's weights of outputs.
TEST(Weightings, OfEachOutputHaveTheirOwnName) {
  const auto expect_equal = [](const std::string& parameterization, const std::string& weighting) {
    const Errors uniform(json_of(parameterization, R"("uniform")"));
    const Errors named(json_of(parameterization, weighting));
    for (size_t i = 0; i < kSteps.size(); ++i)
      EXPECT_NEAR(at(named.losses, i), at(uniform.losses, i), 1e-12 * at(uniform.losses, i));
  };
  expect_equal("epsilon", R"("snr")");
  expect_equal("epsilon", R"({"name": "p2", "gamma": 0})");
  expect_equal("velocity", R"("snr_plus_one")");
  expect_equal("x0", R"("x0")");
  const DiffusionTables tables = process_of("{}").tables();
  const auto min_snr = weightings().make("min_snr");
  const std::vector<double> of_velocity =
      output_weights(*min_snr, *parameterizations().make("velocity"), tables);
  for (size_t t = 0; t < of_velocity.size(); ++t)
    EXPECT_NEAR(of_velocity[t], std::min(tables.snr[t], 5.0) / (tables.snr[t] + 1), 1e-12);
}

TEST(Weightings, ActOnTheSquaredErrorOfTheHybridLossOnly) {
  const std::string base = R"({"variance": "learned_range", "loss": "hybrid", "weighting": ")";
  const GaussianDiffusion uniform = process_of(base + "uniform\"}", 256);
  const GaussianDiffusion weighted = process_of(base + "min_snr\"}", 256);
  const Tensor x0 = normal({1, 4}, "x0"), noise = normal({1, 4}, "noise"), t = steps({400});
  const Tensor output = normal({1, 8}, "output");
  const Model model = [&](const Tensor&, const Tensor&) { return output; };
  const double error = at(squared_error(uniform.split(output, x0).prediction, noise), 0);
  const double snr = uniform.tables().snr[400];
  ASSERT_LT(snr, 5);  // min_snr leaves epsilon's error as it is there ...
  EXPECT_NEAR(at(weighted.training_losses(model, x0, t, noise), 0),
              at(uniform.training_losses(model, x0, t, noise), 0), 1e-12);
  const Tensor early = steps({1});  // ... and here counts it 5 / SNR times
  EXPECT_NEAR(at(weighted.training_losses(model, x0, early, noise), 0),
              at(uniform.training_losses(model, x0, early, noise), 0) +
                  (5 / uniform.tables().snr[1] - 1) * error,
              1e-10);
}

TEST(Weightings, RefuseWhatTheyCannotWeigh) {
  const auto message = [](const std::string& json) -> std::string {
    try {
      variant_of(json);
    } catch (const UserError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(message(R"({"loss": "variational", "weighting": "min_snr"})"),
              HasSubstr("the variational bound has its own weights"));
  EXPECT_EQ(message(R"({"loss": "variational", "parameterization": "x0", "weighting": "x0"})"), "");
  EXPECT_THAT(message(R"({"schedule": "jsd", "weighting": "truncated_snr"})"),
              HasSubstr("use x0 or velocity"));
  EXPECT_THAT(message(R"({"weighting": "min_nsr"})"), HasSubstr("min_snr"));
  EXPECT_THAT(message(R"({"zero_terminal_snr": true})"), HasSubstr("use x0 or velocity"));
}

TEST(ZeroTerminalSnr, KeepsTheFirstStepAndEndsInNoise) {
  for (const std::string& schedule : schedules().names()) {
    const auto tables = [&](bool zero) {
      return process_of(fmt::format(
                            R"({{"schedule": "{}", "zero_terminal_snr": {},
                                 "parameterization": "velocity"}})",
                            schedule, zero))
          .tables();
    };
    const DiffusionTables before = tables(false), after = tables(true);
    EXPECT_EQ(after.beta[0], before.beta[0]) << schedule;
    EXPECT_EQ(after.alpha_bar.back(), 0) << schedule;
    // sqrt(alpha_bar) is an affine function of what it was (Lin et al. 2024, algorithm 1).
    const double first = before.signal[0], last = before.signal.back();
    for (const int t : {1, 300, 700, 998})
      EXPECT_NEAR(after.signal[t], (before.signal[t] - last) * first / (first - last), 1e-12)
          << schedule << " " << t;
  }
}

TEST(ZeroTerminalSnr, AVelocityNetworkIsTrainedAndSampled) {
  const GaussianDiffusion process =
      process_of(R"({"timesteps": 50, "zero_terminal_snr": true, "parameterization": "velocity",
                     "weighting": "truncated_snr"})");
  const Model model = [](const Tensor& x, const Tensor&) { return x; };
  for (const double x :
       process.training_losses(model, normal({2, 3}, "x0"), steps({0, 49}), normal({2, 3}, "noise"))
           .to_host<double>())
    EXPECT_TRUE(std::isfinite(x));
  for (const char* sampler : {"\"ancestral\"", R"({"name": "ddim", "steps": 5})"}) {
    ReverseChain chain(process, *sampler_of(sampler), model, {2, 3}, 0);
    for (const double x : sample(chain, 0).to_host<double>()) EXPECT_TRUE(std::isfinite(x));
  }
}

}  // namespace
}  // namespace ddpm::testing
