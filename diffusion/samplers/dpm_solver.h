// DPM-Solver-1, -2, -3 (Lu et al. 2022, algorithms 1 and 2 and section 3.2): singlestep solvers of
// the probability flow. A step of order k visits k points of its own and needs no others. The last
// step is of a lower order where the evaluations do not divide by k.
//
// Order 1 is DDIM. Points within a step lie at 1/2, or 1/3 and 2/3, of it in log(signal / noise),
// between timesteps as a rule: third order needs the 2/3.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

// The moves of one singlestep step of order 1, 2 or 3.
std::vector<Solver::Move> singlestep(const NoiseLevels& levels, Solver::Estimate estimate,
                                     const NoiseLevel& from, const NoiseLevel& to, int64_t order);

// "estimate": what a solver takes for constant, linear or quadratic over a step.
Solver::Estimate read_estimate(const Config& config, const std::string& otherwise);

class DpmSolverSampler : public Solver {
 public:
  explicit DpmSolverSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  int64_t order_;
  SolverGrid grid_;
};

}  // namespace ddpm
