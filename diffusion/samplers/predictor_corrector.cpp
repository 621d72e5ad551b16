#include "diffusion/samplers/predictor_corrector.h"

#include <algorithm>
#include <cmath>

#include "diffusion/samplers/euler_maruyama.h"
#include "diffusion/vp_sde.h"

namespace ddpm {

PredictorCorrectorSampler::PredictorCorrectorSampler(const Config& config)
    : Solver("predictor_corrector"),
      corrector_steps_(config.integer("corrector_steps", 1, 0, 1000,
                                      "of Langevin dynamics at a noise level; each is an "
                                      "evaluation of the network")),
      snr_(config.number("snr", 0.16, 0, 10, "of a corrector's step: how long it is",
                         Exclude::kMin)),
      grid_(config, "predictor_corrector", "uniform", true, 100) {
  options_.estimate = Estimate::kEpsilon;
  read_limits(config);
}

std::vector<NoiseLevel> PredictorCorrectorSampler::grid(const NoiseLevels& levels) const {
  const int64_t each = 1 + corrector_steps_;
  return grid_.ends(levels, std::max<int64_t>(1, grid_.evaluations() / each), each);
}

std::vector<Solver::Move> PredictorCorrectorSampler::step(const NoiseLevels& levels,
                                                          const std::vector<NoiseLevel>& grid,
                                                          size_t i, size_t) const {
  const NoiseLevel& at = grid[i];
  std::vector<Move> moves;
  if (grid[i + 1].noise > 0) {
    const double size = snr_ * at.noise, e = 2 * kept_by_step(levels, at.t) * size * size;
    const Mix corrector{.x = 1, .estimate = {-e / at.noise}, .noise = std::sqrt(2 * e)};
    moves.assign(static_cast<size_t>(corrector_steps_), {.at = at, .next = corrector});
  }
  moves.push_back({.at = at, .next = euler_maruyama_step(at, grid[i + 1])});
  return moves;
}

}  // namespace ddpm
