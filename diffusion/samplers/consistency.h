// Multistep consistency sampling (Song et al. 2023, algorithm 1): the network's x_0, noised anew to
// the next visited timestep, x_s = signal_s x_0 + noise_s z. The timesteps are those of DDIM's
// trailing stride, so that a single step is that of DDIM. For consistency models; of any other
// network the x_0 of a noisy image is a blur.
#pragma once

#include <algorithm>

#include "diffusion/samplers/ddim.h"

namespace ddpm {

class ConsistencySampler : public Solver {
 public:
  explicit ConsistencySampler(const Config& config)
      : Solver("consistency"),
        steps_(config.integer("steps", 1, 1, 1000000, "evaluations of the network")) {
    read_limits(config);
  }

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override {
    check_steps("consistency", steps_, levels);
    std::vector<NoiseLevel> grid = {kClean};
    for (const int32_t t : trailing_timesteps(levels.timesteps(), steps_))
      grid.push_back(levels.at_time(t));
    std::reverse(grid.begin(), grid.end());
    return grid;
  }
  std::vector<Move> step(const NoiseLevels&, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t) const override {
    const NoiseLevel& to = grid[i + 1];
    return {{.at = grid[i], .next = {.estimate = {to.signal}, .noise = to.noise}}};
  }

 private:
  int64_t steps_;
};

}  // namespace ddpm
