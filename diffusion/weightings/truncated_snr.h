// The larger of the errors of x_0 and epsilon: max(SNR, 1) (Salimans & Ho 2022, section 4). An
// epsilon network has weights 1 / SNR there, up to 25,000 with DDPM's schedule: theirs diverged.
#pragma once

#include <algorithm>

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class TruncatedSnrWeighting : public X0Weighting {
 public:
  explicit TruncatedSnrWeighting(const Config&) {}

  double of_x0(double snr) const override { return std::max(snr, 1.0); }
};

}  // namespace ddpm
