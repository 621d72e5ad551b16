// The square roots of the betas rise linearly ("quad" in the DDPM paper's sweep).
#pragma once

#include <cmath>

#include "diffusion/schedule.h"

namespace ddpm {

class QuadraticSchedule : public Schedule {
 public:
  explicit QuadraticSchedule(const Config& config) : range_(config) {}

  std::vector<double> betas(int timesteps) const override {
    std::vector<double> beta = linspace(std::sqrt(range_.start), std::sqrt(range_.end), timesteps);
    for (double& b : beta) b *= b;
    return beta;
  }

 private:
  BetaRange range_;
};

}  // namespace ddpm
