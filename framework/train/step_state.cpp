#include "framework/train/step_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "framework/cpu/parallel.h"

namespace ddpm {

StepState::StepState(Device device)
    : counter(Tensor::zeros({2}, DType::kI64, device)),
      scalars(Tensor::empty({sizeof(StepScalars)}, DType::kU8, device)) {
  const StepScalars initial;
  scalars.copy_from_host(&initial);
}

int64_t StepState::read_step() const { return counter.to_host<int64_t>()[0]; }

StepScalars StepState::read_scalars() const {
  StepScalars values;
  scalars.copy_to_host(&values);
  return values;
}

void StepState::write_step(int64_t step) {
  const std::array<int64_t, 2> values = {step, 0};
  counter.copy_from_host(values.data());
}

void begin_step(const OptimizerOptions& options, StepState& state) {
  DDPM_DISPATCH(state.counter.device(), begin_step(options, state));
}
void measure_gradient(const Tensor& grad, const OptimizerOptions& options, StepState& state) {
  DDPM_DISPATCH(grad.device(), measure_gradient(grad, options, state));
}
void end_step(StepState& state) { DDPM_DISPATCH(state.counter.device(), end_step(state)); }

namespace cpu {
namespace {

StepScalars& scalars_of(StepState& state) {
  return *reinterpret_cast<StepScalars*>(state.scalars.raw());
}

}  // namespace

void begin_step(const OptimizerOptions& options, StepState& state) {
  const double step = static_cast<double>(state.counter.data<int64_t>()[0]);
  StepScalars& s = scalars_of(state);
  const double warmup = static_cast<double>(options.warmup_steps);
  s.learning_rate = options.learning_rate * (warmup > 0 ? std::min(step / warmup, 1.0) : 1.0);
  s.adam_rate = s.learning_rate * std::sqrt(1 - std::pow(options.beta2, step + 1)) /
                (1 - std::pow(options.beta1, step + 1));
  for (int i = 0; i < options.averages; ++i) {
    double decay = options.average_decay[static_cast<size_t>(i)];
    if (options.average_warmup) decay = std::min(decay, (1 + step) / (10 + step));
    // The paper's code restarts the average at the first step (decay 1e-10 while step < 1).
    s.average_decay[static_cast<size_t>(i)] = step < 1 ? 0 : decay;
  }
}

void measure_gradient(const Tensor& grad, const OptimizerOptions& options, StepState& state) {
  const int64_t n = grad.numel();
  std::vector<double> partial(static_cast<size_t>((n + kElementGrain - 1) / kElementGrain));
  DDPM_FLOATS(grad.dtype(), T, {
    const T* g = grad.data<T>();
    parallel_ranges(n, kElementGrain, [&](int64_t begin, int64_t end) {
      constexpr int kLanes = 16;
      double lanes[kLanes] = {};
      int64_t i = begin;
      for (; i + kLanes <= end; i += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const double value = static_cast<double>(g[i + l]);
          lanes[l] += value * value;
        }
      for (; i < end; ++i) lanes[0] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
      double total = 0;
      for (double lane : lanes) total += lane;
      partial[static_cast<size_t>(begin / kElementGrain)] = total;
    });
  });
  double total = 0;
  for (double p : partial) total += p;
  StepScalars& s = scalars_of(state);
  s.grad_norm = std::sqrt(total);
  if (!std::isfinite(s.grad_norm)) {
    s.grad_scale = 0;
    if (s.first_nonfinite_step < 0) s.first_nonfinite_step = state.counter.data<int64_t>()[0];
  } else {
    const bool clips = options.grad_clip > 0 && s.grad_norm > options.grad_clip;
    s.grad_scale = clips ? options.grad_clip / s.grad_norm : 1;
  }
}

void end_step(StepState& state) { ++state.counter.data<int64_t>()[0]; }

}  // namespace cpu
}  // namespace ddpm
