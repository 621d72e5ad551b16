// The network predicts the mean mu~ of q(x_{t-1} | x_t, x_0), DDPM eq. 7. As in the paper's code
// its output is the mean of the reverse step as it stands: clipping x_0 changes what is reported
// but not the chain, whose x_0 = (mu~ - posterior_xt x_t) / posterior_x0 amplifies the output's
// error thousands of times at large t. clip_mean clips the chain too.
#pragma once

#include "diffusion/parameterization.h"
#include "framework/config/config.h"

namespace ddpm {

class PreviousMeanParameterization : public Parameterization {
 public:
  explicit PreviousMeanParameterization(const Config& config)
      : clip_mean_(config.boolean("clip_mean", false,
                                  "clipping x_0 also moves the mean of the reverse step")) {}

  Coefficients at_level(double, double) const override {
    DDPM_ASSERT(false, "previous_mean has a meaning at timesteps only");
    return {};
  }
  Coefficients at(const DiffusionTables& tables, int t) const override {
    const double x0 = tables.posterior_x0[t], xt = tables.posterior_xt[t];
    return {.target_x0 = x0 + xt * tables.signal[t],
            .target_epsilon = xt * tables.noise[t],
            .x0_from_xt = -xt / x0,
            .x0_from_output = 1 / x0};
  }
  bool is_of_steps() const override { return true; }
  bool clip_moves_mean() const override { return clip_mean_; }

 private:
  bool clip_mean_;
};

}  // namespace ddpm
