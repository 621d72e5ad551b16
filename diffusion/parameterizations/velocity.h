// The network predicts v = signal * epsilon - noise * x_0 (Salimans & Ho 2022); then
// x_0 = signal * x_t - noise * v, which holds for any signal-to-noise ratio.
#pragma once

#include "diffusion/parameterization.h"
#include "framework/config/config.h"

namespace ddpm {

class VelocityParameterization : public Parameterization {
 public:
  explicit VelocityParameterization(const Config&) {}

  Coefficients at_level(double signal, double noise) const override {
    return {.target_x0 = -noise,
            .target_epsilon = signal,
            .x0_from_xt = signal,
            .x0_from_output = -noise};
  }
};

}  // namespace ddpm
