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
  // At a noise level, x_t = signal x_0 + noise epsilon, with a timestep or between two of them.
  virtual Coefficients at_level(double signal, double noise) const = 0;
  virtual Coefficients at(const DiffusionTables& tables, int t) const {
    return at_level(tables.signal[t], tables.noise[t]);
  }
  // Whether there is nothing between timesteps: what is predicted belongs to the step t -> t - 1.
  virtual bool is_of_steps() const { return false; }
  // Whether clipping x_0 moves the mean of p(x_{t-1} | x_t), or only the x_0 that is reported.
  virtual bool clip_moves_mean() const { return true; }
};

}  // namespace ddpm
