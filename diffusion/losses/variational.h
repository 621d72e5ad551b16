// One term of the variational bound, L_{t-1} or at t = 0 the decoder's L_0 (DDPM eq. 5), in bits
// per dimension, with x_0 never clipped. With t uniform its mean is the bound over T, as in the
// paper's code: Nichol & Dhariwal's "rescaled" loss is T times this, the same optimum under another
// gradient clip.
#pragma once

#include "diffusion/loss.h"
#include "diffusion/process.h"
#include "framework/config/config.h"

namespace ddpm {

class VariationalLoss : public Loss {
 public:
  explicit VariationalLoss(const Config&) {}

  Tensor operator()(const LossTerms& l) const override {
    const Normal model{l.process.mean(l.prediction, l.x_t, l.t),
                       l.process.log_variance(l.variance_output, l.t, l.x0.shape())};
    return l.process.bound_term(l.x0, l.x_t, l.t, model);
  }
  bool takes_weights() const override { return false; }
};

}  // namespace ddpm
