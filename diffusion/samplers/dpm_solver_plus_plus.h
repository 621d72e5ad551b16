// DPM-Solver++ (Lu et al. 2022b): solvers of the probability flow that interpolate x_0. 2S is its
// algorithm 1, singlestep; 2M its algorithm 2, which reuses the estimates of steps before.
//
// 3M integrates the parabola through the last three estimates exactly and is of third order. The
// 3M of the authors' code and of diffusers, which is in neither paper, gives the term of m'' half
// the weight that the Taylor series does, and is of second order: solver_orders_test.cpp measures
// both.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

class DpmSolverPlusPlusSampler : public Solver {
 public:
  explicit DpmSolverPlusPlusSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  std::string method_;
  SolverGrid grid_;
};

}  // namespace ddpm
