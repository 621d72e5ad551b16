// The scalar formulas of a training step, written once for both backends.
#pragma once

#include <cmath>
#include <cstdint>

#include "framework/core/host_device.h"
#include "framework/train/step_state.h"

namespace ddpm::math {

// Learning rate, bias correction and decays of step `step`, counted from zero.
DDPM_HD inline void begin_step(const OptimizerOptions& options, double step, StepScalars& s) {
  const double warmup = static_cast<double>(options.warmup_steps);
  s.learning_rate = options.learning_rate * (step < warmup ? step / warmup : 1.0);
  const double anneal = static_cast<double>(options.anneal_steps);
  if (anneal > 0) s.learning_rate *= step < anneal ? 1 - step / anneal : 0.0;
  s.adam_rate = s.learning_rate * ::sqrt(1 - ::pow(options.beta2, step + 1)) /
                (1 - ::pow(options.beta1, step + 1));
  for (int i = 0; i < options.averages; ++i) {
    double decay = options.average_decay[static_cast<size_t>(i)];
    const double warmup_decay = (1 + step) / (10 + step);
    if (options.average_warmup && warmup_decay < decay) decay = warmup_decay;
    // The paper's code restarts the average at the first step (decay 1e-10 while step < 1).
    s.average_decay[static_cast<size_t>(i)] = step < 1 ? 0 : decay;
  }
}

// What follows from the sum of the squares of all gradients.
DDPM_HD inline void clip_gradient(const OptimizerOptions& options, double square_sum, int64_t step,
                                  StepScalars& s) {
  s.grad_norm = ::sqrt(square_sum);
  if (!std::isfinite(s.grad_norm)) {
    s.grad_scale = 0;
    if (s.first_nonfinite_step < 0) s.first_nonfinite_step = step;
  } else {
    const bool clips = options.grad_clip > 0 && s.grad_norm > options.grad_clip;
    s.grad_scale = clips ? options.grad_clip / s.grad_norm : 1;
  }
}

// One weight's step; see adam.h.
template <class T>
struct Adam {
  T scale, rate, keep1, take1, keep2, take2, epsilon;

  DDPM_HD Adam(const OptimizerOptions& options, const StepScalars& s)
      : scale(static_cast<T>(s.grad_scale)),
        rate(static_cast<T>(s.adam_rate)),
        keep1(static_cast<T>(options.beta1)),
        take1(static_cast<T>(1 - options.beta1)),
        keep2(static_cast<T>(options.beta2)),
        take2(static_cast<T>(1 - options.beta2)),
        epsilon(static_cast<T>(options.epsilon)) {}

  DDPM_HD void operator()(T grad, T& m, T& v, T& w) const {
    const T g = scale * grad;
    m = keep1 * m + take1 * g;
    v = keep2 * v + take2 * g * g;
    w -= rate * m / (std::sqrt(v) + epsilon);
  }
};

}  // namespace ddpm::math
