// Every beta is the same ("const" in the DDPM paper's sweep).
#pragma once

#include "diffusion/schedule.h"

namespace ddpm {

class ConstantSchedule : public Schedule {
 public:
  explicit ConstantSchedule(const Config& config)
      : beta_(config.number("beta", 0.02, 0, 1, "beta of every step", Exclude::kBoth)) {}

  std::vector<double> betas(int timesteps) const override {
    return std::vector<double>(timesteps, beta_);
  }

 private:
  double beta_;
};

}  // namespace ddpm
