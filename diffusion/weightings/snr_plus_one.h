// The error of velocity, whatever is predicted: SNR + 1 (Salimans & Ho 2022, section 4).
#pragma once

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class SnrPlusOneWeighting : public X0Weighting {
 public:
  explicit SnrPlusOneWeighting(const Config&) {}

  double of_x0(double snr) const override { return snr + 1; }
};

}  // namespace ddpm
