#include "diffusion/samplers/heun.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

HeunSampler::HeunSampler(const Config& config)
    : Solver("heun"),
      churn_(config.number("churn", 0, 0, 1000000,
                           "S_churn: noise added over all steps; 0: none, deterministic")),
      churn_min_(config.number("churn_min", 0, 0, kMaxNumber,
                               "S_tmin: the least noise / signal where noise is added")),
      churn_max_(config.number("churn_max", 1000000, 0, kMaxNumber,
                               "S_tmax: the most noise / signal where noise is added")),
      churn_noise_(config.number("churn_noise", 1, 0, 2, "S_noise: of the noise that is added")),
      grid_(config, "heun", "edm", false) {
  options_.estimate = Estimate::kEpsilon;
  read_limits(config);
}

std::vector<NoiseLevel> HeunSampler::grid(const NoiseLevels& levels) const {
  return grid_.ends(levels, std::max<int64_t>(1, grid_.evaluations() / 2));
}

NoiseLevel HeunSampler::churned(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid,
                                size_t i) const {
  const double sigma = grid[i].noise / grid[i].signal;
  const double gamma = std::min(churn_ / static_cast<double>(grid.size() - 1), std::sqrt(2.0) - 1);
  if (i == 0 || gamma == 0 || sigma < churn_min_ || sigma > churn_max_) return grid[i];
  return levels.at_log_snr(grid[i].log_snr - std::log1p(gamma));
}

// In terms of x = signal y: dy / d sigma = epsilon.
std::vector<Solver::Move> HeunSampler::step(const NoiseLevels& levels,
                                            const std::vector<NoiseLevel>& grid, size_t i,
                                            size_t) const {
  const NoiseLevel from = churned(levels, grid, i);
  const NoiseLevel& to = grid[i + 1];
  const double length = to.noise / to.signal - from.noise / from.signal;
  const Mix euler{.x = to.signal / from.signal, .estimate = {to.signal * length}};
  if (to.noise == 0) return {{.at = from, .next = euler}};
  Mix heun{.base = to.signal / from.signal,
           .estimate = {to.signal * length / 2, to.signal * length / 2}};
  // The next step's noise comes with the last move of this one.
  const NoiseLevel next = i + 2 < grid.size() ? churned(levels, grid, i + 1) : to;
  const double sigma = to.noise / to.signal, sigma_next = next.noise / next.signal;
  heun = heun * (next.signal / to.signal);
  // Not a difference of squares, which compilers fuse into one that is not zero for equal levels.
  heun.noise = next.signal * churn_noise_ *
               std::sqrt(std::max(0.0, (sigma_next - sigma) * (sigma_next + sigma)));
  return {{.at = from, .next = euler, .base = {.x = 1}}, {.at = to, .next = heun}};
}

}  // namespace ddpm
