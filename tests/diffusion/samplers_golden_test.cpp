// Samplers against diffusers' schedulers, step by step, with shared outputs of the network and
// shared noise: tests/golden/make_samplers_golden.py made samplers.h5 and says what is in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "diffusion/noise_levels.h"
#include "diffusion/samplers/ddim.h"
#include "framework/io/hdf5_file.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

struct Golden {
  explicit Golden(const std::string& name) : group("/" + name) {
    const Hdf5Reader file(DDPM_TEST_DATA "/samplers.h5");
    process = file.string(group, "process");
    sampler = file.string(group, "sampler");
    compared = nlohmann::json::parse(file.string(group, "compared")).get<std::vector<size_t>>();
    const Shape shape = file.info(group + "/outputs").shape;
    evaluations = shape[0], numbers = shape[1];
    const auto read = [&](const std::string& array, const Shape& s) {
      return file.read<double>(group + array, s);
    };
    x_T = read("/x_T", {numbers});
    outputs = read("/outputs", shape);
    x = read("/x", shape);
    noise =
        file.has(group + "/noise") ? read("/noise", shape) : std::vector<double>(outputs.size());
  }
  Tensor row(const std::vector<double>& all, int64_t k) const {
    return Tensor::from_host(
        std::vector<double>(all.begin() + k * numbers, all.begin() + (k + 1) * numbers),
        {1, numbers}, Device::kCpu);
  }

  std::string group, process, sampler;
  std::vector<size_t> compared;
  int64_t evaluations, numbers;
  std::vector<double> x_T, outputs, x, noise;
};

// x after each evaluation, each made from diffusers' x before it.
std::vector<std::vector<double>> replay(const Golden& golden, const Sampler& sampler) {
  const GaussianDiffusion process = process_of(golden.process);
  const std::vector<Sampler::Visit> visits = sampler.visits(process);
  EXPECT_EQ(visits.size(), golden.evaluations);
  const auto stepper = sampler.stepper(process, {1, golden.numbers});
  stepper->begin(0);
  std::vector<std::vector<double>> all;
  for (int64_t k = 0; k < golden.evaluations; ++k) {
    // Only what looks t up in the process's own tables, ancestral sampling, reads it.
    const auto t = static_cast<int32_t>(visits[static_cast<size_t>(k)].t);
    const Tensor x_t = k == 0 ? golden.row(golden.x_T, 0) : golden.row(golden.x, k - 1);
    all.push_back(stepper
                      ->step({golden.row(golden.outputs, k), x_t, golden.row(golden.noise, k),
                              steps({t}), steps({static_cast<int32_t>(k)})})
                      .x.to_host<double>());
  }
  return all;
}

class SamplersGolden : public ::testing::TestWithParam<const char*> {};

// DPMSolverMultistepScheduler rounds x to f32 in every step (the others agree to 1e-9): some ulps
// of values up to 3.
constexpr double kTolerance = 2e-6;

void expect_steps_of_diffusers(const Golden& golden, const Sampler& sampler) {
  const auto x = replay(golden, sampler);
  ASSERT_FALSE(golden.compared.empty());
  for (const size_t k : golden.compared)
    for (size_t i = 0; i < x[k].size(); ++i)
      ASSERT_NEAR(x[k][i], golden.x[k * x[k].size() + i], kTolerance)
          << "evaluation " << k << ", number " << i;
}

TEST_P(SamplersGolden, StepsAreThoseOfDiffusers) {
  const Golden golden(GetParam());
  expect_steps_of_diffusers(golden, *sampler_of(golden.sampler));
}

INSTANTIATE_TEST_SUITE_P(All, SamplersGolden,
                         ::testing::Values("ddpm_fixed_small", "ddpm_fixed_large", "ddim_eta_0",
                                           "ddim_eta_0.5", "ddim_eta_1", "ddim_trailing",
                                           "dpm_solver_pp_2m_epsilon", "dpm_solver_pp_2m_sample",
                                           "dpm_solver_pp_2m_v_prediction", "dpm_solver_pp_2m_edm",
                                           "dpm_solver_pp_2m_threshold", "dpm_solver_2m_noise",
                                           "dpm_solver_1_epsilon", "dpm_solver_1_x0",
                                           "dpm_solver_2_epsilon", "dpm_solver_2_x0",
                                           "dpm_solver_3_epsilon", "dpm_solver_3_x0", "unipc_1_bh2",
                                           "unipc_2_bh1", "unipc_2_bh2", "unipc_3_bh2", "heun"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(SamplersGolden, TheWayBackOfDdimIsThatOfDiffusers) {
  const Golden golden("ddim_inversion");
  const auto sampler = sampler_of(golden.sampler);
  expect_steps_of_diffusers(golden, DdimInversion(dynamic_cast<const DdimSampler&>(*sampler)));
}

// diffusers' 3M is that of DPM-Solver++'s authors: dpm_solver_plus_plus.h says what it lacks, and
// exactly that is the difference. What is compared are the steps that are of third order.
TEST(SamplersGolden, DiffusersThirdOrderLacksHalfOfATerm) {
  const Golden golden("dpm_solver_pp_3m");
  const GaussianDiffusion process = process_of(golden.process);
  const NoiseLevels levels(process.tables());
  const auto x = replay(golden, *sampler_of(golden.sampler));
  const double first = levels.last().log_snr;
  const double h = (levels.first().log_snr - first) / static_cast<double>(golden.evaluations - 1);
  const auto x0 = [&](size_t k, size_t i) {
    const NoiseLevel at = levels.at_log_snr(first + h * static_cast<double>(k));
    const size_t n = static_cast<size_t>(golden.numbers);
    const double x_t = k == 0 ? golden.x_T[i] : golden.x[(k - 1) * n + i];
    return (x_t - at.noise * golden.outputs[k * n + i]) / at.signal;
  };
  double largest = 0;
  for (size_t k = 2; k + 2 < x.size(); ++k)
    for (size_t i = 0; i < x[k].size(); ++i) {
      const double signal = levels.at_log_snr(first + h * static_cast<double>(k + 1)).signal;
      const double bend = (x0(k, i) - 2 * x0(k - 1, i) + x0(k - 2, i)) / 2;  // h^2 m'' / 2
      const double phi_3 = ((std::exp(-h) - 1) / h + 1) / h - 0.5;
      const double difference = x[k][i] - golden.x[k * x[k].size() + i];
      EXPECT_NEAR(difference, -signal * phi_3 * bend, kTolerance) << "evaluation " << k;
      largest = std::max(largest, std::abs(difference));
    }
  EXPECT_GT(largest, 100 * kTolerance);
}

}  // namespace
}  // namespace ddpm::testing
