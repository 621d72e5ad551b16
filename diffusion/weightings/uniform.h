// The squared error of the output as it is, L_simple (DDPM eq. 14). Of x_0's error it is SNR times
// for epsilon, SNR + 1 times for velocity, once for x0.
#pragma once

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class UniformWeighting : public Weighting {
 public:
  explicit UniformWeighting(const Config&) {}

  double of_output(double, double) const override { return 1; }
};

}  // namespace ddpm
