// Betas rise linearly over the first 10 or 50 percent of the steps and stay there ("warmup10" and
// "warmup50" in the DDPM paper's sweep).
#pragma once

#include <algorithm>

#include "diffusion/schedule.h"

namespace ddpm {

template <int kPercent>
class WarmupSchedule : public Schedule {
 public:
  explicit WarmupSchedule(const Config& config) : range_(config) {}

  std::vector<double> betas(int timesteps) const override {
    std::vector<double> beta(timesteps, range_.end);
    const std::vector<double> rise = linspace(range_.start, range_.end, timesteps * kPercent / 100);
    std::copy(rise.begin(), rise.end(), beta.begin());
    return beta;
  }

 private:
  BetaRange range_;
};

}  // namespace ddpm
