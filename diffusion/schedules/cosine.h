// alpha_bar follows a squared cosine (Nichol & Dhariwal 2021, eq. 17):
//   alpha_bar(u) = f(u) / f(0),  f(u) = cos^2((u + s) / (1 + s) pi / 2),  u = t / T
// and beta is cut at max_beta, or the last one would be 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "diffusion/schedule.h"

namespace ddpm {

class CosineSchedule : public Schedule {
 public:
  explicit CosineSchedule(const Config& config)
      : offset_(
            config.number("s", 0.008, 0, 1, "offset that keeps the first betas from vanishing")),
        max_beta_(config.number("max_beta", 0.999, 0, 1, "upper bound of beta", Exclude::kMin)) {}

  std::vector<double> betas(int timesteps) const override {
    const auto f = [&](double u) {
      const double c = std::cos((u + offset_) / (1 + offset_) * std::numbers::pi / 2);
      return c * c;
    };
    std::vector<double> beta(timesteps);
    for (int t = 0; t < timesteps; ++t) {
      const double u = static_cast<double>(t) / timesteps;
      beta[t] = std::min(1 - f(u + 1.0 / timesteps) / f(u), max_beta_);
    }
    return beta;
  }

 private:
  double offset_, max_beta_;
};

}  // namespace ddpm
