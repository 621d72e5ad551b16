#include "diffusion/samplers/ancestral.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

// Empty: the model's own.
Tensor log_variance_of(const GaussianDiffusion& process, const std::string& name) {
  if (name == "fixed_small") return process.upload(process.tables().posterior_log_variance);
  if (name == "fixed_large") return process.upload(process.tables().fixed_large_log_variance);
  return {};
}

class AncestralStepper : public Sampler::Stepper {
 public:
  AncestralStepper(const GaussianDiffusion& process, bool clip, const std::string& variance)
      : process_(process), clip_(clip), log_variance_(log_variance_of(process, variance)) {}

  void begin(int64_t) override {}
  Sampler::Step step(const Sampler::Input& in) override {
    GaussianDiffusion::Reverse p = process_.p_mean_variance(in.output, in.x_t, in.t, clip_);
    if (log_variance_) p.log_variance = timestep_fill(log_variance_, in.t, in.x_t.shape());
    return {ancestral_step(p.mean, p.log_variance, in.noise, in.t), p.x0};
  }

 private:
  const GaussianDiffusion& process_;
  bool clip_;
  Tensor log_variance_;
};

// x_0 follows from what the network says at a timestep of the process, the step from x_0.
class RespacedStepper : public Sampler::Stepper {
 public:
  RespacedStepper(const GaussianDiffusion& process, const std::vector<int>& visited, bool clip,
                  const std::string& variance)
      : process_(process),
        respaced_(process.respaced(visited)),
        clip_(clip),
        log_variance_(log_variance_of(respaced_, variance)) {
    std::vector<int32_t> falling(visited.size());
    std::iota(falling.rbegin(), falling.rend(), 0);
    respaced_t_ = Tensor::from_host(falling, {std::ssize(falling)}, process.device());
  }

  void begin(int64_t) override {}
  Sampler::Step step(const Sampler::Input& in) override {
    const auto [prediction, variance_output] = process_.split(in.output, in.x_t);
    Tensor x0 = process_.x0(prediction, in.x_t, in.t);
    if (clip_) x0 = clamp(x0, -1, 1);
    const Tensor t = gather_labels(respaced_t_, in.index);
    const Tensor log_variance = log_variance_
                                    ? timestep_fill(log_variance_, t, in.x_t.shape())
                                    : respaced_.log_variance(variance_output, t, in.x_t.shape());
    const Tensor mean = respaced_.q_posterior(x0, in.x_t, t).mean;
    return {ancestral_step(mean, log_variance, in.noise, t), x0};
  }

 private:
  const GaussianDiffusion& process_;
  GaussianDiffusion respaced_;
  bool clip_;
  Tensor log_variance_;
  Tensor respaced_t_;  // (visits) i32: timesteps of the respaced process
};

}  // namespace

AncestralSampler::AncestralSampler(const Config& config)
    : steps_(config.integer("steps", 0, 0, 1000000,
                            "evenly spaced, of the process respaced to them; 0: all T")),
      clip_denoised_(config.boolean("clip_denoised", true, "clip x_0 to [-1, 1] in every step")),
      variance_(config.choice("variance", "model", {"model", "fixed_small", "fixed_large"},
                              "variance of a step: the model's own, or another")) {}

std::vector<int> AncestralSampler::visited(const GaussianDiffusion& process) const {
  const int total = process.timesteps();
  DDPM_CHECK(steps_ <= total, "sampler ancestral: {} steps of a process that has {}", steps_,
             total);
  const auto count = static_cast<int>(steps_ == 0 ? total : steps_);
  DDPM_CHECK(count == total || variance_ != "model" || !process.variance().is_of_steps(),
             "sampler ancestral: the variance 'learned' is of single steps, not of {} steps for "
             "{}; learned_range knows longer ones, and so do sampling.sampler.variance "
             "fixed_small and fixed_large",
             count, total);
  std::vector<int> timesteps;
  for (int i = 0; i < count; ++i)
    timesteps.push_back(count == 1 ? total - 1
                                   : static_cast<int>(std::lround(static_cast<double>(i) *
                                                                  (total - 1) / (count - 1))));
  return timesteps;
}

std::vector<Sampler::Visit> AncestralSampler::visits(const GaussianDiffusion& process) const {
  const std::vector<int> timesteps = visited(process);
  std::vector<Visit> visits;
  for (auto t = timesteps.rbegin(); t != timesteps.rend(); ++t)
    visits.push_back({static_cast<double>(*t)});
  return visits;
}

std::unique_ptr<Sampler::Stepper> AncestralSampler::stepper(const GaussianDiffusion& process,
                                                            const Shape&) const {
  const std::vector<int> timesteps = visited(process);
  if (std::ssize(timesteps) == process.timesteps())
    return std::make_unique<AncestralStepper>(process, clip_denoised_, variance_);
  return std::make_unique<RespacedStepper>(process, timesteps, clip_denoised_, variance_);
}

}  // namespace ddpm
