// The squared error of the prediction, weighted by timestep (weighting.h): uniformly it is L_simple
// (DDPM eq. 14) for epsilon, ||mu~ - mu||^2 for previous_mean.
#pragma once

#include "diffusion/loss.h"
#include "diffusion/process.h"
#include "framework/config/config.h"

namespace ddpm {

class SimpleLoss : public Loss {
 public:
  explicit SimpleLoss(const Config&) {}

  Tensor operator()(const LossTerms& l) const override {
    return l.process.weighted_error(l.prediction, l.process.target(l.x0, l.noise, l.t), l.t);
  }
  const char* objection(const Variance& variance) const override {
    return variance.learned() ? "a squared error gives a learned variance no gradient; use hybrid "
                                "or variational, or a fixed variance"
                              : nullptr;
  }
};

}  // namespace ddpm
