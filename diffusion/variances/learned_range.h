// The network's output v in [-1, 1] (not enforced) interpolates between log beta tilde and log beta
// (Nichol & Dhariwal 2021, eq. 15): log variance = f log beta + (1 - f) log beta tilde with
// f = (v + 1) / 2.
#pragma once

#include <cmath>

#include "diffusion/variance.h"
#include "framework/config/config.h"

namespace ddpm {

class LearnedRangeVariance : public Variance {
 public:
  explicit LearnedRangeVariance(const Config&) {}

  Coefficients at(const DiffusionTables& tables, int t) const override {
    const double low = tables.posterior_log_variance[t], high = std::log(tables.beta[t]);
    return {.offset = (high + low) / 2, .slope = (high - low) / 2};
  }
  bool learned() const override { return true; }
};

}  // namespace ddpm
