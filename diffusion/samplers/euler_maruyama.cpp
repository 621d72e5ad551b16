#include "diffusion/samplers/euler_maruyama.h"

#include <cmath>

#include "diffusion/vp_sde.h"

namespace ddpm {

Solver::Mix euler_maruyama_step(const NoiseLevel& from, const NoiseLevel& to) {
  if (to.noise == 0) return {.x = 1 / from.signal, .estimate = {-from.noise / from.signal}};
  const double beta = beta_between(to, from);
  return {.x = 1 + beta / 2, .estimate = {-beta / from.noise}, .noise = std::sqrt(beta)};
}

EulerMaruyamaSampler::EulerMaruyamaSampler(const Config& config)
    : Solver("euler_maruyama"), grid_(config, "euler_maruyama", "uniform", true, 100) {
  options_.estimate = Estimate::kEpsilon;
  read_limits(config);
}

std::vector<NoiseLevel> EulerMaruyamaSampler::grid(const NoiseLevels& levels) const {
  return grid_.ends(levels, grid_.evaluations());
}

std::vector<Solver::Move> EulerMaruyamaSampler::step(const NoiseLevels&,
                                                     const std::vector<NoiseLevel>& grid, size_t i,
                                                     size_t) const {
  return {{.at = grid[i], .next = euler_maruyama_step(grid[i], grid[i + 1])}};
}

}  // namespace ddpm
