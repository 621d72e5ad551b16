// Min-SNR-gamma: min(SNR, gamma), so that nearly clean images do not take over (Hang et al. 2023).
#pragma once

#include <algorithm>

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class MinSnrWeighting : public X0Weighting {
 public:
  explicit MinSnrWeighting(const Config& config)
      : gamma_(config.number("gamma", 5, 0, kMaxNumber, "upper bound of the weight of x_0's error",
                             Exclude::kMin)) {}

  double of_x0(double snr) const override { return std::min(snr, gamma_); }

 private:
  double gamma_;
};

}  // namespace ddpm
