#include "diffusion/solver_grid.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

SolverGrid::SolverGrid(const Config& config, std::string sampler, const std::string& spacing,
                       bool may_be_whole, int64_t steps)
    : evaluations_(config.integer("steps", steps, 1, 1000000,
                                  "evaluations of the network (NFE), whatever a step needs")),
      sampler_(std::move(sampler)),
      spacing_(config.choice("spacing", spacing, {"log_snr", "uniform", "quadratic", "edm"},
                             "of the steps: even in log(signal / noise), in t, in the root of t, "
                             "or in the 7th root of noise / signal")),
      denoise_to_zero_(config.boolean("denoise_to_zero", true,
                                      "the last evaluation, at t = 0, gives x_0; false: the image "
                                      "keeps the noise of t = 0")),
      whole_(may_be_whole &&
             config.boolean("whole_timesteps", false,
                            "round to the timesteps that the network was trained at")) {
  if (denoise_to_zero_ && evaluations_ < 2)
    config.error("steps", "must be 2 or more where the last is spent on t = 0, found 1");
}

std::vector<NoiseLevel> SolverGrid::ends(const NoiseLevels& levels, int64_t steps,
                                         int64_t each) const {
  if (each == 1) check_steps(sampler_, evaluations_, levels);
  DDPM_CHECK(evaluations_ <= each * levels.timesteps(),
             "sampler {}: {} steps of a process that has {}, with {} evaluations at each of them",
             sampler_, evaluations_, levels.timesteps(), each);
  const NoiseLevel begin = levels.last(), end = levels.first();
  DDPM_CHECK(begin.signal > 0,
             "sampler {}: this schedule leaves nothing of x_0 at its last timestep, where "
             "log(signal / noise) is infinite; samplers that serve it: ancestral, ddim",
             sampler_);
  constexpr double kRho = 7;  // Karras et al. 2022, eq. 5
  const auto sigma_root = [](const NoiseLevel& level) { return std::exp(-level.log_snr / kRho); };
  std::vector<NoiseLevel> grid = {begin};
  for (int64_t i = 1; i < steps; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(steps);
    const auto between = [&](double from, double to) { return from + share * (to - from); };
    NoiseLevel level{};
    if (spacing_ == "log_snr") {
      level = levels.at_log_snr(between(begin.log_snr, end.log_snr));
    } else if (spacing_ == "edm") {
      level = levels.at_log_snr(-kRho * std::log(between(sigma_root(begin), sigma_root(end))));
    } else if (spacing_ == "uniform") {
      level = levels.at_time(between(begin.t, 0));
    } else {
      level = levels.at_time(begin.t * (1 - share) * (1 - share));
    }
    if (whole_) level = levels.at_time(std::round(level.t));
    if (level.t < grid.back().t && level.t > 0) grid.push_back(level);
  }
  grid.push_back(end);
  if (denoise_to_zero_) grid.push_back(kClean);
  return grid;
}

}  // namespace ddpm
