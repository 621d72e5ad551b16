// The variance beta of q(x_t | x_{t-1}): right for data that are standard normal. DDPM's choice for
// CIFAR-10.
#pragma once

#include "diffusion/variance.h"
#include "framework/config/config.h"

namespace ddpm {

class FixedLargeVariance : public Variance {
 public:
  explicit FixedLargeVariance(const Config&) {}

  Coefficients at(const DiffusionTables& tables, int t) const override {
    return {.offset = tables.fixed_large_log_variance[t], .slope = 0};
  }
};

}  // namespace ddpm
