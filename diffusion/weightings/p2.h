// P2, "perception prioritized" (Choi et al. 2022): epsilon's error over (k + SNR)^gamma,
// which counts less where only imperceptible noise is left.
#pragma once

#include <cmath>

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class P2Weighting : public X0Weighting {
 public:
  explicit P2Weighting(const Config& config)
      : k_(config.number("k", 1, 0, kMaxNumber, "added to the signal-to-noise ratio",
                         Exclude::kMin)),
        gamma_(config.number("gamma", 1, 0, 10, "strength; 0 is the weighting snr")) {}

  double of_x0(double snr) const override { return snr / std::pow(k_ + snr, gamma_); }

 private:
  double k_, gamma_;
};

}  // namespace ddpm
