// The reverse SDE (Song et al. 2021b, eq. 6; vp_sde.h) by Euler and Maruyama: from t to s, with B
// the integral of beta over the step,
//   x_s = x_t + B / 2 x_t - B epsilon / noise_t + sqrt(B) z
// Of weak order 1. As in the paper, steps are even in t and the last adds no noise: from the first
// timestep it goes to the estimate of x_0.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

// A step to less noise, or to kClean; the newest estimate is of epsilon.
Solver::Mix euler_maruyama_step(const NoiseLevel& from, const NoiseLevel& to);

class EulerMaruyamaSampler : public Solver {
 public:
  explicit EulerMaruyamaSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  SolverGrid grid_;
};

}  // namespace ddpm
