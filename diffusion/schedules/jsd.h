// beta_t = 1 / (T - t + 1), so that alpha_bar falls linearly to exactly zero (Sohl-Dickstein et al.
// 2015). The last x_t holds nothing of x_0: epsilon cannot be predicted into an x_0 there, x0 and
// velocity can.
#pragma once

#include "diffusion/schedule.h"

namespace ddpm {

class JsdSchedule : public Schedule {
 public:
  explicit JsdSchedule(const Config&) {}

  std::vector<double> betas(int timesteps) const override {
    std::vector<double> beta(timesteps);
    for (int t = 0; t < timesteps; ++t) beta[t] = 1.0 / (timesteps - t);
    return beta;
  }
};

}  // namespace ddpm
