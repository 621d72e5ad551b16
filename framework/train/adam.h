// Adam in the form of the paper's code (Kingma & Ba 2015, end of section 2: "epsilon hat"), with
// clipping and the running averages fused into one pass over the flat buffers:
//
//   g = grad_scale * grad
//   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
//   w = w - adam_rate m / (sqrt(v) + epsilon)
//   average_k = decay_k average_k + (1 - decay_k) w
//   compute = bf16(w) where the network computes in bf16
//
// A step whose gradient is not finite (grad_scale = 0) changes nothing: the last good weights stay.
#pragma once

#include "framework/train/parameters.h"
#include "framework/train/step_state.h"

namespace ddpm {

// The rest of a step after backward: norm, clipping, Adam, averages, and the step is counted.
void optimizer_step(Parameters& parameters, const OptimizerOptions& options, StepState& state);

DDPM_KERNEL(void adam_step(Parameters& parameters, const OptimizerOptions& options,
                           const StepState& state));

}  // namespace ddpm
