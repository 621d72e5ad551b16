#include "diffusion/registry.h"

#include <algorithm>

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
#include "diffusion/samplers/euler_maruyama.h"
#include "diffusion/samplers/heun.h"
#include "diffusion/samplers/ode.h"
#include "diffusion/samplers/predictor_corrector.h"
#include "diffusion/samplers/unipc.h"
#include "diffusion/schedules/constant.h"
#include "diffusion/schedules/cosine.h"
#include "diffusion/schedules/jsd.h"
#include "diffusion/schedules/linear.h"
#include "diffusion/schedules/quadratic.h"
#include "diffusion/schedules/warmup.h"
#include "diffusion/timestep_samplers/antithetic.h"
#include "diffusion/timestep_samplers/loss_second_moment.h"
#include "diffusion/timestep_samplers/stratified.h"
#include "diffusion/timestep_samplers/uniform.h"
#include "diffusion/variances/fixed_large.h"
#include "diffusion/variances/fixed_small.h"
#include "diffusion/variances/learned.h"
#include "diffusion/variances/learned_range.h"
#include "diffusion/weightings/min_snr.h"
#include "diffusion/weightings/p2.h"
#include "diffusion/weightings/snr.h"
#include "diffusion/weightings/snr_plus_one.h"
#include "diffusion/weightings/truncated_snr.h"
#include "diffusion/weightings/uniform.h"
#include "diffusion/weightings/x0.h"

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

const Registry<Weighting>& weightings() {
  static const Registry<Weighting> registry(
      "weighting",
      {
          {"uniform", "the squared error of the output as it is (Ho et al. 2020)",
           factory<Weighting, UniformWeighting>()},
          {"x0", "that of x_0, whatever is predicted (Salimans & Ho 2022)",
           factory<Weighting, UnitWeighting>()},
          {"snr", "that of epsilon: SNR times x_0's (Salimans & Ho 2022)",
           factory<Weighting, SnrWeighting>()},
          {"truncated_snr", "max(SNR, 1) times x_0's (Salimans & Ho 2022)",
           factory<Weighting, TruncatedSnrWeighting>()},
          {"snr_plus_one", "that of velocity: SNR + 1 times x_0's (Salimans & Ho 2022)",
           factory<Weighting, SnrPlusOneWeighting>()},
          {"min_snr", "min(SNR, gamma) times x_0's (Hang et al. 2023)",
           factory<Weighting, MinSnrWeighting>()},
          {"p2", "SNR / (k + SNR)^gamma times x_0's (Choi et al. 2022)",
           factory<Weighting, P2Weighting>()},
      });
  return registry;
}

const Registry<TimestepSampler>& timestep_samplers() {
  static const Registry<TimestepSampler> registry(
      "timestep sampler",
      {
          {"uniform", "independent and uniform (Ho et al. 2020)",
           factory<TimestepSampler, UniformTimesteps>()},
          {"stratified", "one from each of N equal shares (as Kingma et al. 2021)",
           factory<TimestepSampler, StratifiedTimesteps>()},
          {"antithetic", "pairs t and T - 1 - t (Song et al. 2021)",
           factory<TimestepSampler, AntitheticTimesteps>()},
          {"loss_second_moment", "by the root of E[loss^2] (Nichol & Dhariwal 2021)",
           factory<TimestepSampler, LossSecondMomentTimesteps>()},
      });
  return registry;
}

const Registry<Sampler>& samplers() {
  static const Registry<Sampler> registry(
      "sampler",
      {
          {"ancestral", "every reverse step (Ho et al. 2020), or respaced (Nichol & Dhariwal 2021)",
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
          {"euler_maruyama", "the reverse SDE by steps of first order (Song et al. 2021b)",
           factory<Sampler, EulerMaruyamaSampler>()},
          {"predictor_corrector", "the same, corrected by Langevin dynamics (Song et al. 2021b)",
           factory<Sampler, PredictorCorrectorSampler>()},
          {"ode", "the probability flow by adaptive Dormand-Prince 5(4) (Song et al. 2021b)",
           factory<Sampler, OdeSampler>()},
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

// What the schedule, the parameterization, the weighting and the loss say to each other.
static void check_noise_levels(const Config& config, const DiffusionVariant& v) try {
  const std::vector<double> weights = output_weights(*v.weighting, *v.parameterization, v.tables());
  const bool weighted =
      std::any_of(weights.begin(), weights.end(), [](double w) { return w != 1; });
  if (weighted && !v.loss->takes_weights())
    config.error("weighting",
                 "is of squared errors; the variational bound has its own weights: use uniform");
} catch (const UserError& error) {
  config.error("schedule", fmt::format("cannot be used here: {}", error.what()));
}

DiffusionVariant read_diffusion(const Config& config) {
  DiffusionVariant v;
  v.timesteps = static_cast<int>(
      config.integer("timesteps", 1000, 1, 1000000, "number of diffusion steps T"));
  v.schedule = schedules().make(config, "schedule", "linear");
  v.zero_terminal_snr =
      config.boolean("zero_terminal_snr", false,
                     "rescale the schedule so that nothing of x_0 is left at the last step");
  v.parameterization = parameterizations().make(config, "parameterization", "epsilon");
  v.variance = variances().make(config, "variance", "fixed_large");
  v.loss = losses().make(config, "loss", "simple");
  if (const char* objection = v.loss->objection(*v.variance)) config.error("loss", objection);
  v.weighting = weightings().make(config, "weighting", "uniform");
  check_noise_levels(config, v);
  return v;
}

std::unique_ptr<TimestepSampler> read_timestep_sampler(const Config& config) {
  return timestep_samplers().make(config, "timestep_sampler", "uniform");
}

std::unique_ptr<Distillation> read_distillation(const Config& config) {
  return distillations().make(config, "distillation", "none");
}

std::unique_ptr<Sampler> read_sampler(const Config& config) {
  return samplers().make(config, "sampler", "ancestral");
}

}  // namespace ddpm
