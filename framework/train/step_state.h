// StepState: everything that changes from one training step to the next, in device memory, so that
// a step is a fixed list of launches. A one-thread kernel advances it; the host reads it back only
// to log.
#pragma once

#include <array>
#include <limits>

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

inline constexpr int kMaxAverages = 4;

struct OptimizerOptions {
  double learning_rate = 2e-4;
  int64_t warmup_steps = 5000;  // learning_rate * min(step / warmup_steps, 1); step 0 has rate 0
  int64_t anneal_steps = 0;     // and times max(1 - step / anneal_steps, 0), unless that is 0
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double grad_clip = 1;  // global norm; 0 switches clipping off
  int averages = 1;
  std::array<double, kMaxAverages> average_decay = {0.9999};
  // min(decay, (1 + step) / (10 + step)): short runs get a useful average
  bool average_warmup = false;
};

// One instance, in a u8 tensor. Written by begin_step, grad_norm and the losses.
struct StepScalars {
  double learning_rate = 0;
  double adam_rate = 0;  // learning_rate sqrt(1 - beta2^t) / (1 - beta1^t)
  std::array<double, kMaxAverages> average_decay = {};
  double grad_norm = 0;   // before clipping
  double grad_scale = 0;  // what clipping multiplies gradients by; 0 when they are not finite
  int64_t first_nonfinite_step = -1;
};

class StepState {
 public:
  explicit StepState(Device device);

  // (2) i64: the number of finished steps, and the first row of the part of the batch that is being
  // computed. Random streams read it.
  Tensor counter;
  Tensor scalars;  // one StepScalars

  int64_t read_step() const;
  StepScalars read_scalars() const;
  void write_step(int64_t step);
};

// Learning rate, bias correction and decays for the step in `counter`.
void begin_step(const OptimizerOptions& options, StepState& state);
// grad_norm and grad_scale from a flat gradient; remembers the first step that was not finite.
void measure_gradient(const Tensor& grad, const OptimizerOptions& options, StepState& state);
// Goes on to the part of the batch that lies `rows` further.
void next_rows(int64_t rows, StepState& state);
void end_step(StepState& state);  // counts the step; the next one starts at row zero

DDPM_KERNEL(void begin_step(const OptimizerOptions& options, StepState& state));
DDPM_KERNEL(void measure_gradient(const Tensor& grad, const OptimizerOptions& options,
                                  StepState& state));
DDPM_KERNEL(void next_rows(int64_t rows, StepState& state));
DDPM_KERNEL(void end_step(StepState& state));

}  // namespace ddpm
