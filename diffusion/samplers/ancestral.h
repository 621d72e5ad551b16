// Ancestral sampling, DDPM algorithm 2: every timestep in turn, x_{t-1} ~ p(x_{t-1} | x_t), no
// noise in the last. x_0 is clipped to [-1, 1] in every step; the paper's algorithm does not say
// so, its code does, and samples are far worse without.
#pragma once

#include <string>
#include <utility>

#include "diffusion/sampler.h"
#include "framework/ops/timestep.h"

namespace ddpm {

class AncestralSampler : public Sampler {
 public:
  explicit AncestralSampler(const Config& config)
      : clip_denoised_(config.boolean("clip_denoised", true, "clip x_0 to [-1, 1] in every step")),
        variance_(config.choice("variance", "model", {"model", "fixed_small", "fixed_large"},
                                "variance of a step: the model's own, or another")) {}

  std::vector<Visit> visits(const GaussianDiffusion& process) const override {
    std::vector<Visit> all;
    for (int t = process.timesteps() - 1; t >= 0; --t) all.push_back({static_cast<double>(t)});
    return all;
  }

  bool is_deterministic(const GaussianDiffusion&) const override { return false; }
  bool has_memory(const GaussianDiffusion&) const override { return false; }

  std::unique_ptr<Stepper> stepper(const GaussianDiffusion& process, const Shape&) const override {
    Tensor log_variance;  // empty: the model's
    if (variance_ == "fixed_small")
      log_variance = process.upload(process.tables().posterior_log_variance);
    if (variance_ == "fixed_large")
      log_variance = process.upload(process.tables().fixed_large_log_variance);
    return std::make_unique<AncestralStepper>(process, clip_denoised_, log_variance);
  }

 private:
  class AncestralStepper : public Stepper {
   public:
    AncestralStepper(const GaussianDiffusion& process, bool clip, Tensor log_variance)
        : process_(process), clip_(clip), log_variance_(std::move(log_variance)) {}

    void begin(int64_t) override {}
    Step step(const Input& in) override {
      GaussianDiffusion::Reverse p = process_.p_mean_variance(in.output, in.x_t, in.t, clip_);
      if (log_variance_) p.log_variance = timestep_fill(log_variance_, in.t, in.x_t.shape());
      return {ancestral_step(p.mean, p.log_variance, in.noise, in.t), p.x0};
    }

   private:
    const GaussianDiffusion& process_;
    bool clip_;
    Tensor log_variance_;
  };

  bool clip_denoised_;
  std::string variance_;
};

}  // namespace ddpm
