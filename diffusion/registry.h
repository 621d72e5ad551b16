// The variants a configuration can name, one line each in registry.cpp, and the readers of its
// keys.
#pragma once

#include <memory>

#include "diffusion/distillation.h"
#include "diffusion/process.h"
#include "diffusion/sampler.h"
#include "diffusion/timestep_sampler.h"
#include "framework/config/registry.h"

namespace ddpm {

const Registry<Schedule>& schedules();
const Registry<Parameterization>& parameterizations();
const Registry<Variance>& variances();
const Registry<Loss>& losses();
const Registry<Weighting>& weightings();
const Registry<TimestepSampler>& timestep_samplers();
const Registry<Sampler>& samplers();
const Registry<Distillation>& distillations();

// "timesteps", "schedule", "zero_terminal_snr", "parameterization", "variance", "loss" and
// "weighting" of `config`; the defaults are DDPM's for CIFAR-10.
DiffusionVariant read_diffusion(const Config& config);
// "timestep_sampler" of `config`.
std::unique_ptr<TimestepSampler> read_timestep_sampler(const Config& config);
// "distillation" of `config`; null for "none".
std::unique_ptr<Distillation> read_distillation(const Config& config);
// "sampler" of `config`.
std::unique_ptr<Sampler> read_sampler(const Config& config);

}  // namespace ddpm
