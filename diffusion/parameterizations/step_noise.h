// The network predicts eps_t, the noise of the one step x_t = sqrt(1 - beta_t) x_{t-1} +
// sqrt(beta_t) eps_t, as in Su Jianlin's derivation (losses/two_noise.h). The best prediction is
// sqrt(beta_t) / noise[t] times that of epsilon, at t = 0 the same. Its squared error weighs that
// of epsilon by beta_t / (1 - alpha_bar_t), which is DDPM eq. 12 with sigma^2 = beta but for a
// factor 2 (1 - beta_t).
#pragma once

#include <cmath>

#include "diffusion/parameterizations/epsilon.h"

namespace ddpm {

class StepNoiseParameterization : public EpsilonParameterization {
 public:
  using EpsilonParameterization::EpsilonParameterization;

  Coefficients at(const DiffusionTables& tables, int t) const override {
    const double share = std::sqrt(tables.beta[t]) / tables.noise[t];
    Coefficients c = EpsilonParameterization::at(tables, t);
    c.target_epsilon *= share;
    c.x0_from_output /= share;
    return c;
  }
  bool is_of_steps() const override { return true; }
};

}  // namespace ddpm
