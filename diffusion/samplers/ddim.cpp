#include "diffusion/samplers/ddim.h"

#include <algorithm>
#include <cmath>

#include "diffusion/x0_errors.h"

namespace ddpm {

namespace {

// 1 - alpha_bar_t / alpha_bar_s
double added_noise(const NoiseLevel& from, const NoiseLevel& to) {
  const double kept = from.signal / to.signal;
  return 1 - kept * kept;
}

}  // namespace

DdimCoefficients ddim_coefficients(const NoiseLevel& from, const NoiseLevel& to, double eta) {
  const double rest_t = from.noise * from.noise, rest_s = to.noise * to.noise;
  const double sigma = eta == 0 ? 0 : eta * std::sqrt(rest_s / rest_t * added_noise(from, to));
  const double xt = std::sqrt(std::max(0.0, rest_s - sigma * sigma) / rest_t);
  return {to.signal - xt * from.signal, xt, sigma};
}

std::vector<int32_t> trailing_timesteps(int64_t total, int64_t steps) {
  std::vector<int32_t> timesteps;
  for (int64_t i = 1; i <= steps; ++i)
    timesteps.push_back(static_cast<int32_t>(
        std::llround(static_cast<double>(i * total) / static_cast<double>(steps)) - 1));
  return timesteps;
}

DdimSampler::DdimSampler(const Config& config)
    : Solver("ddim"),
      steps_(config.integer("steps", 50, 1, 1000000, "number of reverse steps")),
      eta_(config.number("eta", 0, 0, 1, "0: no noise; 1: the noise of ancestral sampling")),
      stride_(config.choice("stride", "uniform", {"uniform", "quadratic", "trailing"},
                            "spacing of the visited timesteps; the DDIM paper uses quadratic for "
                            "CIFAR-10 and uniform elsewhere; trailing begins at the last one")),
      sigma_hat_(config.boolean("sigma_hat", false,
                                "eta = 1 with the larger noise sqrt(1 - alpha_bar_t / alpha_bar_s) "
                                "of DDPM's fixed_large")),
      errors_(config.string("errors", "",
                            "likelihood.json of this run, from 'ddpm eval RUN --metrics nll': adds "
                            "to each step the noise that its errors of x_0 ask for")),
      last_noise_(config.number("last_noise", 1, 0, 255,
                                "with errors: at most so many of 255 grey levels of noise, in the "
                                "mean, before the last step; 0: no limit")) {
  read_limits(config);
  if (!errors_.empty() && sigma_hat_)
    config.error("errors", "cannot be used with sigma_hat, which is another noise");
  if (steps_ < 2 && stride_ != "trailing")
    config.error("steps",
                 "must be 2 or more, found 1: only the stride 'trailing' has a single "
                 "step, from the last timestep");
}

std::vector<NoiseLevel> DdimSampler::grid(const NoiseLevels& levels) const {
  const int64_t total = levels.timesteps();
  check_steps("ddim", steps_, levels);
  std::vector<int32_t> visited;  // rising
  if (stride_ == "trailing") visited = trailing_timesteps(total, steps_);
  for (int64_t i = 0; i < steps_ && stride_ != "trailing"; ++i) {
    if (stride_ == "uniform") {
      visited.push_back(static_cast<int32_t>(i * total / steps_));
    } else {
      const double root = std::sqrt(0.8 * static_cast<double>(total)) * static_cast<double>(i) /
                          static_cast<double>(steps_ - 1);
      visited.push_back(static_cast<int32_t>(std::floor(root * root)));
    }
  }
  // The quadratic stride lingers at the end; a step from t to t changes nothing.
  visited.erase(std::unique(visited.begin(), visited.end()), visited.end());
  std::vector<NoiseLevel> grid = {kClean};
  for (const int32_t t : visited) grid.push_back(levels.at_time(t));
  std::reverse(grid.begin(), grid.end());
  return grid;
}

double DdimSampler::sigma_of_errors(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid,
                                    size_t i, const DdimCoefficients& c) const {
  if (static_cast<int64_t>(x0_errors_.size()) != levels.timesteps())
    x0_errors_ = read_x0_errors(errors_, levels.timesteps(), options_.clip_denoised);
  const auto t = static_cast<size_t>(grid[i].t);
  DDPM_CHECK(std::isfinite(x0_errors_[t]),
             "{}: no image was evaluated at t = {}; 'ddpm eval RUN --metrics nll --timesteps 0' "
             "evaluates all",
             errors_, t);
  // No value of [-1, 1] varies by more than 1.
  const double sigma = std::sqrt(c.sigma * c.sigma + c.x0 * c.x0 * std::min(x0_errors_[t], 1.0));
  const bool is_seen = grid[i + 2].noise == 0;  // the step that follows removes no noise worth it
  if (last_noise_ == 0 || !is_seen) return sigma;
  const double mean_size = std::sqrt(2 / std::acos(-1));  // of a normal
  return std::min(sigma, last_noise_ * 2 / 255 / mean_size);
}

std::vector<Solver::Move> DdimSampler::step(const NoiseLevels& levels,
                                            const std::vector<NoiseLevel>& grid, size_t i,
                                            size_t) const {
  const NoiseLevel &from = grid[i], &to = grid[i + 1];
  DdimCoefficients c = ddim_coefficients(from, to, sigma_hat_ ? 1 : eta_);
  if (sigma_hat_ && to.noise > 0) c.sigma = std::sqrt(added_noise(from, to));
  if (!errors_.empty() && to.noise > 0) c.sigma = sigma_of_errors(levels, grid, i, c);
  return {{.at = from, .next = {.x = c.xt, .estimate = {c.x0}, .noise = c.sigma}}};
}

DdimInversion::DdimInversion(const DdimSampler& sampler)
    : Solver("ddim inversion"), sampler_(sampler) {
  options_ = sampler.options();
}

std::vector<NoiseLevel> DdimInversion::grid(const NoiseLevels& levels) const {
  std::vector<NoiseLevel> grid = sampler_.grid(levels);
  grid.pop_back();  // the clean image
  std::reverse(grid.begin(), grid.end());
  DDPM_CHECK(grid.size() >= 2, "ddim inversion: a sampler with a single step has no way back");
  return grid;
}

std::vector<Solver::Move> DdimInversion::step(const NoiseLevels&,
                                              const std::vector<NoiseLevel>& grid, size_t i,
                                              size_t) const {
  const DdimCoefficients c = ddim_coefficients(grid[i], grid[i + 1], 0);
  return {{.at = grid[i], .next = {.x = c.xt, .estimate = {c.x0}}}};
}

}  // namespace ddpm
