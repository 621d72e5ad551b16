// EDM's sampler (Karras et al. 2022, algorithms 1 and 2): Heun's method for x / signal over
// sigma = noise / signal, two evaluations a step and one (Euler's) in the step to the clean image.
//
// With churn, a step first adds noise: from sigma to sigma' = (1 + gamma) sigma, gamma =
// min(churn / steps, sqrt(2) - 1), where churn_min <= sigma <= churn_max. The process ends at its
// last timestep's sigma, and no sigma' lies beyond it: the first step adds none.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

class HeunSampler : public Solver {
 public:
  explicit HeunSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  // Where step i begins once it has its noise.
  NoiseLevel churned(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid,
                     size_t i) const;

  double churn_, churn_min_, churn_max_, churn_noise_;
  SolverGrid grid_;
};

}  // namespace ddpm
