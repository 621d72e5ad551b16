// UniPC (Zhao et al. 2023): a multistep predictor of order p and, with the estimate at the point
// that it predicts and no evaluation more, a corrector of order p + 1. The corrected x is what the
// next step begins with, so that the whole is of order p + 1.
//
// Both are the exact integral of the polynomial through the estimates, for which the paper solves a
// small linear system (its eq. 8). Where one unknown would remain, the paper takes 1/2 for it and
// its B(h), "bh1": h, "bh2": e^h - 1, makes a difference; it does in no other case. The authors'
// code lets the order fall again towards the end; that costs the whole its order, and is left out.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

class UniPcSampler : public Solver {
 public:
  explicit UniPcSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  Mix predicted(const std::vector<NoiseLevel>& grid, size_t i, size_t order) const;
  Mix corrected(const std::vector<NoiseLevel>& grid, size_t i, size_t order) const;
  size_t order_of(const std::vector<NoiseLevel>& grid, size_t i, size_t past) const;

  size_t order_;
  bool bh1_;
  SolverGrid grid_;
};

}  // namespace ddpm
