// Parameterization: what the network predicts. All of them are linear, so four numbers per timestep
// say everything:
//   target = target_x0 * x_0 + target_epsilon * epsilon
//   x_0    = x0_from_xt * x_t + x0_from_output * output
#pragma once

#include "diffusion/tables.h"

namespace ddpm {

class Parameterization {
 public:
  struct Coefficients {
    double target_x0, target_epsilon, x0_from_xt, x0_from_output;
  };

  virtual ~Parameterization() = default;
  virtual Coefficients at(const DiffusionTables& tables, int t) const = 0;
  // Whether clipping x_0 moves the mean of p(x_{t-1} | x_t), or only the x_0 that is reported.
  virtual bool clip_moves_mean() const { return true; }
};

}  // namespace ddpm
