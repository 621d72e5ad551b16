// The network's output is the log variance itself, unbounded: "learned diagonal Sigma" in DDPM's
// table 2, where it is unstable.
#pragma once

#include "diffusion/variance.h"
#include "framework/config/config.h"

namespace ddpm {

class LearnedVariance : public Variance {
 public:
  explicit LearnedVariance(const Config&) {}

  Coefficients at(const DiffusionTables&, int) const override { return {.offset = 0, .slope = 1}; }
  bool learned() const override { return true; }
  bool is_of_steps() const override { return true; }
};

}  // namespace ddpm
