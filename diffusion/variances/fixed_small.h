// The variance beta tilde of q(x_{t-1} | x_t, x_0): right for data that are one point.
#pragma once

#include "diffusion/variance.h"
#include "framework/config/config.h"

namespace ddpm {

class FixedSmallVariance : public Variance {
 public:
  explicit FixedSmallVariance(const Config&) {}

  Coefficients at(const DiffusionTables& tables, int t) const override {
    return {.offset = tables.posterior_log_variance[t], .slope = 0};
  }
};

}  // namespace ddpm
