// CUDA kernels of step_state.h: what a step needs to know about itself, kept up to date by one
// thread in device memory.
#include "framework/cuda/sum_rows.cuh"
#include "framework/train/step_math.h"
#include "framework/train/step_state.h"

namespace ddpm::cuda {
namespace {

StepScalars* scalars_of(const StepState& state) {
  return reinterpret_cast<StepScalars*>(state.scalars.raw());
}

__global__ void begin_step_kernel(OptimizerOptions options, const int64_t* counter,
                                  StepScalars* scalars) {
  math::begin_step(options, static_cast<double>(counter[0]), *scalars);
}

struct ClipGradient {
  OptimizerOptions options;
  const int64_t* counter;
  StepScalars* scalars;
  __device__ void operator()(int64_t, double square_sum) const {
    math::clip_gradient(options, square_sum, counter[0], *scalars);
  }
};

__global__ void next_rows_kernel(int64_t rows, int64_t* counter) { counter[1] += rows; }

__global__ void end_step_kernel(int64_t* counter) {
  ++counter[0];
  counter[1] = 0;
}

}  // namespace

void begin_step(const OptimizerOptions& options, StepState& state) {
  launch(begin_step_kernel, 1, 1, 0, options, state.counter.data<int64_t>(), scalars_of(state));
}

void measure_gradient(const Tensor& grad, const OptimizerOptions& options, StepState& state) {
  const ClipGradient clip{options, state.counter.data<int64_t>(), scalars_of(state)};
  DDPM_FLOATS(grad.dtype(), T, {
    sum_rows(static_cast<const T*>(grad.data<T>()), 1, grad.numel(), Square{}, clip);
  });
}

void next_rows(int64_t rows, StepState& state) {
  launch(next_rows_kernel, 1, 1, 0, rows, state.counter.data<int64_t>());
}

void end_step(StepState& state) { launch(end_step_kernel, 1, 1, 0, state.counter.data<int64_t>()); }

}  // namespace ddpm::cuda
