// Where a solver's steps end: between the first and the last noise level of the process, spaced
// evenly in some function of the noise, and then at the clean image.
#pragma once

#include <string>
#include <vector>

#include "diffusion/solver.h"

namespace ddpm {

class SolverGrid {
 public:
  // Reads "steps", "spacing", "denoise_to_zero" and, unless the solver goes to points between the
  // grid's anyway, "whole_timesteps". `sampler` is for messages, `steps` the default.
  SolverGrid(const Config& config, std::string sampler, const std::string& spacing,
             bool may_be_whole, int64_t steps = 20);

  // The network's evaluations that are left for the steps, the last one to the clean image aside.
  int64_t evaluations() const { return denoise_to_zero_ ? evaluations_ - 1 : evaluations_; }
  bool denoise_to_zero() const { return denoise_to_zero_; }
  const std::string& spacing() const { return spacing_; }

  // `steps` steps between the noise levels, and the one to kClean if there is to be one. UserError
  // where there are more evaluations than timesteps, or `each` for each of them.
  std::vector<NoiseLevel> ends(const NoiseLevels& levels, int64_t steps, int64_t each = 1) const;

 private:
  int64_t evaluations_;
  std::string sampler_, spacing_;
  bool denoise_to_zero_, whole_;
};

}  // namespace ddpm
