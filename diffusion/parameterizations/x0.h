// The network predicts the clean image x_0.
#pragma once

#include "diffusion/parameterization.h"
#include "framework/config/config.h"

namespace ddpm {

class X0Parameterization : public Parameterization {
 public:
  explicit X0Parameterization(const Config&) {}

  Coefficients at_level(double, double) const override {
    return {.target_x0 = 1, .target_epsilon = 0, .x0_from_xt = 0, .x0_from_output = 1};
  }
};

}  // namespace ddpm
