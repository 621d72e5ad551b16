// Betas rise linearly (Ho et al. 2020). They are not scaled with T unless asked: at T = 4000 the
// published comparisons (Nichol & Dhariwal 2021) multiply them by 1000 / T, which keeps the total
// noise.
#pragma once

#include "diffusion/schedule.h"

namespace ddpm {

class LinearSchedule : public Schedule {
 public:
  explicit LinearSchedule(const Config& config)
      : range_(config),
        rescale_(config.boolean("rescale_to_steps", false, "multiply the betas by 1000 / T")) {}

  std::vector<double> betas(int timesteps) const override {
    const double factor = rescale_ ? 1000.0 / timesteps : 1;
    return linspace(factor * range_.start, factor * range_.end, timesteps);
  }

 private:
  BetaRange range_;
  bool rescale_;
};

}  // namespace ddpm
