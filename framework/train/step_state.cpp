#include "framework/train/step_state.h"

#include <vector>

#include "framework/cpu/parallel.h"
#include "framework/train/step_math.h"

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
void next_rows(int64_t rows, StepState& state) {
  DDPM_DISPATCH(state.counter.device(), next_rows(rows, state));
}
void end_step(StepState& state) { DDPM_DISPATCH(state.counter.device(), end_step(state)); }

namespace cpu {
namespace {

StepScalars& scalars_of(StepState& state) {
  return *reinterpret_cast<StepScalars*>(state.scalars.raw());
}

}  // namespace

void begin_step(const OptimizerOptions& options, StepState& state) {
  math::begin_step(options, static_cast<double>(state.counter.data<int64_t>()[0]),
                   scalars_of(state));
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
  math::clip_gradient(options, total, state.counter.data<int64_t>()[0], scalars_of(state));
}

void next_rows(int64_t rows, StepState& state) { state.counter.data<int64_t>()[1] += rows; }

void end_step(StepState& state) {
  int64_t* counter = state.counter.data<int64_t>();
  ++counter[0];
  counter[1] = 0;
}

}  // namespace cpu
}  // namespace ddpm
