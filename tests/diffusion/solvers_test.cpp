// What solvers have in common: where they may begin, whom they serve, and that it does not matter
// what the network predicts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/exponential_step.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/solver.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;

const char* const kSolvers[] = {
    R"({"name": "ddim", "steps": 12})",
    R"({"name": "ddim", "steps": 12, "eta": 1})",
    R"({"name": "dpm_solver", "steps": 12})",
    R"({"name": "dpm_solver", "steps": 12, "order": 2, "estimate": "x0"})",
    R"({"name": "dpm_solver++", "steps": 12})",
    R"({"name": "dpm_solver++", "steps": 12, "method": "2s"})",
    R"({"name": "dpm_solver++", "steps": 12, "method": "3m"})",
    R"({"name": "dpm_solver++", "steps": 12, "dynamic_threshold": 0.9})",
    R"({"name": "dpm_solver++", "steps": 12, "whole_timesteps": true})",
    R"({"name": "unipc", "steps": 12, "order": 3})",
    R"({"name": "heun", "steps": 13})",
    R"({"name": "heun", "steps": 13, "churn": 5})",
    R"({"name": "euler_maruyama", "steps": 12})",
    R"({"name": "predictor_corrector", "steps": 13, "corrector_steps": 2})"};

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const UserError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(NoiseLevels, AreTheTablesAtTimestepsAndLinearInLogAlphaBarBetween) {
  const DiffusionTables tables = process_of("{}").tables();
  const NoiseLevels levels(tables);
  for (const int t : {0, 1, 500, 998, 999}) {
    const NoiseLevel at = levels.at_time(t);
    EXPECT_EQ(at.signal, tables.signal[t]);
    EXPECT_EQ(at.noise, tables.noise[t]);
    EXPECT_NEAR(at.log_snr, std::log(tables.snr[t]) / 2, 1e-12);
    const NoiseLevel back = levels.at_log_snr(at.log_snr);
    EXPECT_NEAR(back.t, t, 1e-9);
    EXPECT_NEAR(back.signal, at.signal, 1e-13);
  }
  const NoiseLevel between = levels.at_time(300.25);
  EXPECT_NEAR(std::log(between.signal),
              0.75 * std::log(tables.signal[300]) + 0.25 * std::log(tables.signal[301]), 1e-13);
  EXPECT_NEAR(between.signal * between.signal + between.noise * between.noise, 1, 1e-15);
  EXPECT_NEAR(levels.at_log_snr(between.log_snr).t, 300.25, 1e-9);
  EXPECT_EQ(levels.at_log_snr(100).t, 0) << "beyond the first";
  EXPECT_EQ(levels.at_log_snr(-100).t, 999) << "beyond the last";
}

TEST(Solvers, FirstOrderIsDdimOfEitherEstimate) {
  const NoiseLevels levels(process_of("{}").tables());
  const NoiseLevel from = levels.at_time(700);
  for (const NoiseLevel& to : {levels.at_time(420.5), levels.at_time(0), kClean}) {
    const DdimCoefficients ddim = ddim_coefficients(from, to, 0);
    const Solver::Mix x0 = ExponentialStep(Solver::Estimate::kX0, from, to).first_order();
    EXPECT_NEAR(x0.x, ddim.xt, 1e-14);
    EXPECT_NEAR(x0.estimate[0], ddim.x0, 1e-14);
    // x_0 = (x - noise epsilon) / signal in it
    const Solver::Mix epsilon = ExponentialStep(Solver::Estimate::kEpsilon, from, to).first_order();
    EXPECT_NEAR(epsilon.x, ddim.xt + ddim.x0 / from.signal, 1e-12);
    EXPECT_NEAR(epsilon.estimate[0], -ddim.x0 * from.noise / from.signal, 1e-12);
  }
}

TEST(Solvers, DoNotDependOnWhatTheNetworkPredicts) {
  for (const char* sampler : kSolvers) {
    std::vector<std::vector<double>> drawn;
    for (const char* parameterization : {"epsilon", "x0", "velocity"}) {
      const GaussianDiffusion process =
          process_of(fmt::format(R"({{"parameterization": "{}"}})", parameterization));
      ReverseChain chain(process, *sampler_of(sampler), exact_denoiser(three_modes(), process),
                         {8, 2}, 3);
      drawn.push_back(sample(chain, 0).to_host<double>());
    }
    for (size_t i = 0; i < drawn[0].size(); ++i) {
      // x_0 from epsilon divides by signal, 0.006 at the end: 1e-16 becomes 1e-14 there.
      EXPECT_NEAR(drawn[1][i], drawn[0][i], 1e-10) << sampler;
      EXPECT_NEAR(drawn[2][i], drawn[0][i], 1e-10) << sampler;
    }
  }
}

// A chain that begins in the middle knows nothing of one that was there before.
TEST(Solvers, BeginAnywhereWithoutAPast) {
  const GaussianDiffusion process = process_of("{}");
  const Model model = exact_denoiser(three_modes(), process);
  for (const char* name : kSolvers) {
    const auto sampler = sampler_of(name);
    const std::vector<Sampler::Visit> visits = sampler->visits(process);
    ReverseChain used(process, *sampler, model, {3, 2}, 9),
        fresh(process, *sampler, model, {3, 2}, 9);
    used.start(0);
    std::vector<Tensor> before;  // x of every visit
    for (int64_t k = 0; k < used.steps(); ++k) {
      before.push_back(Tensor::like(used.x()));
      before.back().copy_from(used.x());
      used.step();
    }
    const std::vector<double> whole = used.x().to_host<double>();
    int begun = 0;
    for (size_t k = 0; k < visits.size(); ++k) {
      if (!visits[k].begins_step) continue;
      ++begun;
      std::vector<std::vector<double>> ends;
      for (ReverseChain* chain : {&used, &fresh}) {
        chain->start_from(before[k], static_cast<int64_t>(k), 0);
        for (int64_t i = static_cast<int64_t>(k); i < chain->steps(); ++i) chain->step();
        ends.push_back(chain->x().to_host<double>());
      }
      EXPECT_EQ(ends[0], ends[1]) << name << " from " << k;
      // The same image to within what steps of lower order cost.
      for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(ends[0][i], whole[i], 0.2) << name;
      if (k == 0) {
        EXPECT_EQ(ends[0], whole);
      }
    }
    EXPECT_GE(begun, 4) << name;
  }
}

TEST(Solvers, SayWhetherXtAloneDecidesTheImage) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 20})");
  const Model model = exact_denoiser(three_modes(), process);
  const Tensor x_T = normal({3, 2}, "x_T");
  std::vector<std::string> all(std::begin(kSolvers), std::end(kSolvers));
  all.emplace_back("\"ancestral\"");
  all.emplace_back(R"({"name": "ddim", "steps": 12, "sigma_hat": true})");
  int deterministic = 0;
  for (const std::string& name : all) {
    const auto sampler = sampler_of(name);
    std::vector<std::vector<double>> ends;
    for (const uint64_t seed : {1, 2}) {
      ReverseChain chain(process, *sampler, model, x_T.shape(), seed);
      chain.start_from(x_T, 0, 0);
      for (int64_t i = 0; i < chain.steps(); ++i) chain.step();
      ends.push_back(chain.x().to_host<double>());
    }
    EXPECT_EQ(sampler->is_deterministic(process), ends[0] == ends[1]) << name;
    deterministic += sampler->is_deterministic(process);
  }
  EXPECT_EQ(deterministic, static_cast<int>(all.size()) - 6);
}

TEST(Solvers, SpendTheEvaluationsTheyAreGiven) {
  const GaussianDiffusion process = process_of("{}");
  const auto count = [&](const char* sampler) {
    return sampler_of(sampler)->visits(process).size();
  };
  for (const int steps : {2, 3, 10, 11, 12, 13}) {
    for (const char* rest :
         {R"("name": "dpm_solver")", R"("name": "dpm_solver", "order": 2)",
          R"("name": "dpm_solver++")", R"("name": "dpm_solver++", "method": "2s")",
          R"("name": "unipc")", R"("name": "unipc", "denoise_to_zero": false)"})
      EXPECT_EQ(count(fmt::format(R"({{{}, "steps": {}}})", rest, steps).c_str()), steps) << rest;
  }
  EXPECT_EQ(count(R"({"name": "heun", "steps": 11})"), 11u);
  EXPECT_EQ(count(R"({"name": "heun", "steps": 12})"), 11u) << "pairs, and one to the clean image";
}

TEST(Solvers, SayWhomTheyServe) {
  const GaussianDiffusion mean = process_of(R"({"parameterization": "previous_mean"})");
  for (const char* name : {"dpm_solver", "dpm_solver++", "unipc", "heun"})
    EXPECT_THAT(error_of([&] { sampler_of(fmt::format("\"{}\"", name))->visits(mean); }),
                HasSubstr(fmt::format("sampler {}: it asks the network between timesteps, where "
                                      "parameterization previous_mean has no meaning; samplers "
                                      "that serve it: ancestral, ddim",
                                      name)));
  for (const char* name : {"dpm_solver++", "unipc"}) {
    const auto whole =
        sampler_of(fmt::format(R"({{"name": "{}", "steps": 30, "whole_timesteps": true}})", name));
    for (const Sampler::Visit& visit : whole->visits(mean))
      EXPECT_EQ(visit.t, std::floor(visit.t)) << name;
  }
  const GaussianDiffusion to_nothing =
      process_of(R"({"schedule": "jsd", "parameterization": "x0"})");
  EXPECT_THAT(error_of([&] { sampler_of("\"unipc\"")->visits(to_nothing); }),
              HasSubstr("sampler unipc: this schedule leaves nothing of x_0 at its last timestep"));
  EXPECT_NO_THROW(sampler_of("\"ddim\"")->visits(to_nothing));
  const GaussianDiffusion small = process_of(R"({"timesteps": 10})");
  EXPECT_EQ(error_of([&] { sampler_of("\"heun\"")->visits(small); }),
            "sampler heun: 20 steps of a process that has 10");
}

TEST(Solvers, RefuseSettingsThatMeanNothing) {
  EXPECT_THAT(error_of([] { sampler_of(R"({"name": "unipc", "steps": 1})"); }),
              HasSubstr("'sampler.steps' must be 2 or more where the last is spent on t = 0"));
  EXPECT_THAT(error_of([] { sampler_of(R"({"name": "ddim", "steps": 1})"); }),
              HasSubstr("only the stride 'trailing' has a single step"));
  EXPECT_THAT(error_of([] { sampler_of(R"({"name": "dpm_solver", "whole_timesteps": true})"); }),
              HasSubstr("unknown key 'sampler.whole_timesteps'"));
}

// x_0 -> x_T -> x_0 (DDIM, table 2).
TEST(DdimInversion, ComesBackAsStepsGetMany) {
  const GaussianDiffusion process = process_of("{}");
  const Model model = exact_denoiser(three_modes(), process);
  const Tensor x0 = points(three_modes(), 0, 32);
  std::vector<double> errors;
  for (const int steps : {10, 20, 50, 100, 500, 1000}) {
    const DdimSampler sampler = [&] {
      const Config config(ConfigSource::parse_text(
          fmt::format(R"({{"steps": {}, "clip_denoised": false}})", steps), "test"));
      return DdimSampler(config);
    }();
    ReverseChain there(process, DdimInversion(sampler), model, x0.shape(), 0);
    ReverseChain back(process, sampler, model, x0.shape(), 0);
    EXPECT_EQ(there.steps(), steps - 1);
    there.start_from(x0, 0, 0);
    for (int64_t i = 0; i < there.steps(); ++i) there.step();
    back.start_from(there.x(), 0, 0);
    for (int64_t i = 0; i < back.steps(); ++i) back.step();
    const std::vector<double> a = back.x().to_host<double>(), b = x0.to_host<double>();
    double square = 0;
    for (size_t i = 0; i < a.size(); ++i) square += (a[i] - b[i]) * (a[i] - b[i]);
    errors.push_back(std::sqrt(square / static_cast<double>(a.size())));
  }
  for (size_t i = 1; i < errors.size(); ++i) EXPECT_LT(errors[i], errors[i - 1]);
  EXPECT_LT(errors.back(), 0.02);
}

}  // namespace
}  // namespace ddpm::testing
