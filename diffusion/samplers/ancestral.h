// Ancestral sampling, DDPM algorithm 2: every timestep in turn, x_{t-1} ~ p(x_{t-1} | x_t), no
// noise in the last. x_0 is clipped to [-1, 1] in every step; the paper's algorithm does not say
// so, its code does, and samples are far worse without.
#pragma once

#include <string>

#include "diffusion/sampler.h"
#include "framework/ops/timestep.h"

namespace ddpm {

class AncestralSampler : public Sampler {
 public:
  explicit AncestralSampler(const Config& config)
      : clip_denoised_(config.boolean("clip_denoised", true, "clip x_0 to [-1, 1] in every step")),
        variance_(config.choice("variance", "model", {"model", "fixed_small", "fixed_large"},
                                "variance of a step: the model's own, or another")) {}

  std::vector<int32_t> timesteps(const GaussianDiffusion& process) const override {
    std::vector<int32_t> visited;
    for (int t = process.timesteps() - 1; t >= 0; --t) visited.push_back(t);
    return visited;
  }

  StepFunction step(const GaussianDiffusion& process) const override {
    Tensor log_variance;  // empty: the model's
    if (variance_ == "fixed_small")
      log_variance = process.upload(process.tables().posterior_log_variance);
    if (variance_ == "fixed_large")
      log_variance = process.upload(process.tables().fixed_large_log_variance);
    return [&process, clip = clip_denoised_, log_variance](const Tensor& output, const Tensor& x_t,
                                                           const Tensor& t, const Tensor& noise) {
      GaussianDiffusion::Reverse p = process.p_mean_variance(output, x_t, t, clip);
      if (log_variance) p.log_variance = timestep_fill(log_variance, t, x_t.shape());
      return Step{ancestral_step(p.mean, p.log_variance, noise, t), p.x0};
    };
  }

 private:
  bool clip_denoised_;
  std::string variance_;
};

}  // namespace ddpm
