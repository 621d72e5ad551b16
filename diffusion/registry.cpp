#include "diffusion/registry.h"

#include "diffusion/distillations/consistency.h"
#include "diffusion/distillations/output.h"
#include "diffusion/distillations/progressive.h"
#include "diffusion/losses/hybrid.h"
#include "diffusion/losses/simple.h"
#include "diffusion/losses/two_noise.h"
#include "diffusion/losses/variational.h"
#include "diffusion/parameterizations/epsilon.h"
#include "diffusion/parameterizations/previous_mean.h"
#include "diffusion/parameterizations/step_noise.h"
#include "diffusion/parameterizations/velocity.h"
#include "diffusion/parameterizations/x0.h"
#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/consistency.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/samplers/dpm_solver.h"
#include "diffusion/samplers/dpm_solver_plus_plus.h"
#include "diffusion/samplers/heun.h"
#include "diffusion/samplers/unipc.h"
#include "diffusion/schedules/constant.h"
#include "diffusion/schedules/cosine.h"
#include "diffusion/schedules/jsd.h"
#include "diffusion/schedules/linear.h"
#include "diffusion/schedules/quadratic.h"
#include "diffusion/schedules/warmup.h"
#include "diffusion/variances/fixed_large.h"
#include "diffusion/variances/fixed_small.h"
#include "diffusion/variances/learned.h"
#include "diffusion/variances/learned_range.h"

namespace ddpm {

const Registry<Schedule>& schedules() {
  static const Registry<Schedule> registry(
      "noise schedule",
      {
          {"linear", "betas rise linearly", factory<Schedule, LinearSchedule>()},
          {"quadratic", "square roots of betas rise linearly",
           factory<Schedule, QuadraticSchedule>()},
          {"constant", "one beta for all steps", factory<Schedule, ConstantSchedule>()},
          {"jsd", "betas 1/T, 1/(T-1), .., 1", factory<Schedule, JsdSchedule>()},
          {"warmup10", "betas rise for 10 % of the steps", factory<Schedule, WarmupSchedule<10>>()},
          {"warmup50", "betas rise for 50 % of the steps", factory<Schedule, WarmupSchedule<50>>()},
          {"cosine", "alpha_bar follows a squared cosine", factory<Schedule, CosineSchedule>()},
      });
  return registry;
}

const Registry<Parameterization>& parameterizations() {
  static const Registry<Parameterization> registry(
      "parameterization",
      {
          {"epsilon", "the network predicts the noise",
           factory<Parameterization, EpsilonParameterization>()},
          {"x0", "the network predicts the clean image",
           factory<Parameterization, X0Parameterization>()},
          {"previous_mean", "the network predicts the posterior mean of x_{t-1}",
           factory<Parameterization, PreviousMeanParameterization>()},
          {"step_noise", "the network predicts the noise of the last step",
           factory<Parameterization, StepNoiseParameterization>()},
          {"velocity", "the network predicts signal * epsilon - noise * x_0",
           factory<Parameterization, VelocityParameterization>()},
      });
  return registry;
}

const Registry<Variance>& variances() {
  static const Registry<Variance> registry(
      "reverse variance",
      {
          {"fixed_small", "beta tilde, the posterior's", factory<Variance, FixedSmallVariance>()},
          {"fixed_large", "beta, the forward step's", factory<Variance, FixedLargeVariance>()},
          {"learned", "the network's log variance, unbounded",
           factory<Variance, LearnedVariance>()},
          {"learned_range", "learned, between beta tilde and beta",
           factory<Variance, LearnedRangeVariance>()},
      });
  return registry;
}

const Registry<Loss>& losses() {
  static const Registry<Loss> registry(
      "loss",
      {
          {"simple", "mean squared error of the prediction", factory<Loss, SimpleLoss>()},
          {"two_noise", "simple with x_{t-1} as drawn, not its mean",
           factory<Loss, TwoNoiseLoss>()},
          {"variational", "one term of the variational bound", factory<Loss, VariationalLoss>()},
          {"hybrid", "simple, and the bound for the variance only", factory<Loss, HybridLoss>()},
      });
  return registry;
}

const Registry<Sampler>& samplers() {
  static const Registry<Sampler> registry(
      "sampler",
      {
          {"ancestral", "every reverse step in turn (Ho et al. 2020)",
           factory<Sampler, AncestralSampler>()},
          {"ddim", "fewer steps, deterministic at eta 0 (Song et al. 2021)",
           factory<Sampler, DdimSampler>()},
          {"dpm_solver", "singlestep of order 1, 2, 3 in epsilon (Lu et al. 2022)",
           factory<Sampler, DpmSolverSampler>()},
          {"dpm_solver++", "2m, 2s, 3m: multistep or singlestep in x_0 (Lu et al. 2022b)",
           factory<Sampler, DpmSolverPlusPlusSampler>()},
          {"unipc", "multistep predictor and corrector (Zhao et al. 2023)",
           factory<Sampler, UniPcSampler>()},
          {"heun", "EDM's second-order sampler, with churn (Karras et al. 2022)",
           factory<Sampler, HeunSampler>()},
          {"consistency", "x_0 noised anew, of consistency models (Song et al. 2023)",
           factory<Sampler, ConsistencySampler>()},
      });
  return registry;
}

const Registry<Distillation>& distillations() {
  static const Registry<Distillation> registry(
      "distillation", {
                          {"none", "the network learns from the data",
                           [](const Config&) { return std::unique_ptr<Distillation>(); }},
                          {"progressive", "a step for two of a teacher's (Salimans & Ho 2022)",
                           factory<Distillation, ProgressiveDistillation>()},
                          {"consistency", "one x_0 along a teacher's path (Song et al. 2023)",
                           factory<Distillation, ConsistencyDistillation>()},
                          {"consistency_training", "the same along the data's, alg. 3 of it",
                           factory<Distillation, ConsistencyTraining>()},
                          {"output", "the teacher's predictions, by any network",
                           factory<Distillation, OutputDistillation>()},
                      });
  return registry;
}

DiffusionVariant read_diffusion(const Config& config) {
  DiffusionVariant v;
  v.timesteps = static_cast<int>(
      config.integer("timesteps", 1000, 1, 1000000, "number of diffusion steps T"));
  v.schedule = schedules().make(config, "schedule", "linear");
  v.parameterization = parameterizations().make(config, "parameterization", "epsilon");
  v.variance = variances().make(config, "variance", "fixed_large");
  v.loss = losses().make(config, "loss", "simple");
  if (const char* objection = v.loss->objection(*v.variance)) config.error("loss", objection);
  return v;
}

std::unique_ptr<Distillation> read_distillation(const Config& config) {
  return distillations().make(config, "distillation", "none");
}

std::unique_ptr<Sampler> read_sampler(const Config& config) {
  return samplers().make(config, "sampler", "ancestral");
}

}  // namespace ddpm
