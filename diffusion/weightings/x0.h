// The error of x_0 as it is (Salimans & Ho 2022, section 4).
#pragma once

#include "diffusion/weighting.h"
#include "framework/config/config.h"

namespace ddpm {

class UnitWeighting : public X0Weighting {
 public:
  explicit UnitWeighting(const Config&) {}

  double of_x0(double) const override { return 1; }
};

}  // namespace ddpm
