// The network predicts the noise epsilon: DDPM eq. 11, x_0 = (x_t - noise * epsilon) / signal.
#pragma once

#include "diffusion/parameterization.h"
#include "framework/config/config.h"

namespace ddpm {

class EpsilonParameterization : public Parameterization {
 public:
  explicit EpsilonParameterization(const Config&) {}

  Coefficients at_level(double signal, double noise) const override {
    DDPM_CHECK(signal > 0,
               "parameterization: no x_0 follows from the noise at the last step of this "
               "schedule, where nothing of x_0 is left; use x0 or velocity with it");
    return {.target_x0 = 0,
            .target_epsilon = 1,
            .x0_from_xt = 1 / signal,
            .x0_from_output = -noise / signal};
  }
};

}  // namespace ddpm
