// The error of epsilon, whatever is predicted: SNR ||x_0 - x_0_theta||^2 = ||epsilon -
// epsilon_theta||^2 (Salimans & Ho 2022, section 4).
#pragma once

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class SnrWeighting : public X0Weighting {
 public:
  explicit SnrWeighting(const Config&) {}

  double of_x0(double snr) const override { return snr; }
};

}  // namespace ddpm
