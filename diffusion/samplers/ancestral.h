// Ancestral sampling, DDPM algorithm 2: every timestep in turn, x_{t-1} ~ p(x_{t-1} | x_t), no
// noise in the last. x_0 is clipped to [-1, 1] in every step; the paper's algorithm does not say
// so, its code does, and samples are far worse without.
//
// In fewer steps it is the ancestral sampling of the process respaced to them: means and variances
// follow from the betas of the longer steps (Nichol & Dhariwal 2021, section 4).
#pragma once

#include <string>

#include "diffusion/sampler.h"

namespace ddpm {

class AncestralSampler : public Sampler {
 public:
  explicit AncestralSampler(const Config& config);

  std::vector<Visit> visits(const GaussianDiffusion& process) const override;
  bool is_deterministic(const GaussianDiffusion&) const override { return false; }
  bool has_memory(const GaussianDiffusion&) const override { return false; }
  std::unique_ptr<Stepper> stepper(const GaussianDiffusion& process, const Shape&) const override;

 private:
  std::vector<int> visited(const GaussianDiffusion& process) const;  // rising

  int64_t steps_;
  bool clip_denoised_;
  std::string variance_;
};

}  // namespace ddpm
