// L_simple + lambda L_vlb (Nichol & Dhariwal 2021, eq. 16), where the bound trains the variance
// only: the mean enters it without a gradient. L_vlb is the whole bound, so its one sampled term
// counts T times, as in the authors' code; at T = 1000 and lambda = 0.001 the factor is 1.
#pragma once

#include "diffusion/loss.h"
#include "diffusion/process.h"
#include "framework/config/config.h"
#include "framework/ops/elementwise.h"

namespace ddpm {

class HybridLoss : public Loss {
 public:
  explicit HybridLoss(const Config& config)
      : lambda_(config.number("lambda", 0.001, 0, kMaxNumber, "weight of the variational bound",
                              Exclude::kMin)) {}

  Tensor operator()(const LossTerms& l) const override {
    const Normal model{l.process.mean(l.prediction.detach(), l.x_t, l.t),
                       l.process.log_variance(l.variance_output, l.t, l.x0.shape())};
    const Tensor bound = l.process.bound_term(l.x0, l.x_t, l.t, model);
    return add(l.process.weighted_error(l.prediction, l.process.target(l.x0, l.noise, l.t), l.t),
               scale(bound, lambda_ * l.process.timesteps()));
  }
  const char* objection(const Variance& variance) const override {
    return variance.learned() ? nullptr
                              : "the hybrid loss trains a learned variance; a fixed one makes it "
                                "the simple loss";
  }

 private:
  double lambda_;
};

}  // namespace ddpm
