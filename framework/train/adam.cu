// CUDA kernel of adam.h: one pass over all weights, each read and written once.
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/train/adam.h"
#include "framework/train/step_math.h"

namespace ddpm::cuda {
namespace {

template <class T>
struct AdamBuffers {
  T *weights, *moment1, *moment2;
  const T* grad;
  T* averages[kMaxAverages];
  bf16* compute;  // may be null
  int64_t count;
};

template <class T, int kWidth>
__global__ void adam_step_kernel(AdamBuffers<T> b, OptimizerOptions options,
                                 const StepScalars* scalars) {
  const int64_t i = global_thread() * kWidth;
  if (i >= b.count || scalars->grad_scale == 0) return;
  const math::Adam<T> update(options, *scalars);
  const auto g = load_packed<T, kWidth>(b.grad + i);
  auto w = load_packed<T, kWidth>(b.weights + i);
  auto m = load_packed<T, kWidth>(b.moment1 + i), v = load_packed<T, kWidth>(b.moment2 + i);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) update(g.v[k], m.v[k], v.v[k], w.v[k]);
  store_packed(b.weights + i, w);
  store_packed(b.moment1 + i, m);
  store_packed(b.moment2 + i, v);
  for (int a = 0; a < options.averages; ++a) {
    const T take = static_cast<T>(1 - scalars->average_decay[a]);
    auto average = load_packed<T, kWidth>(b.averages[a] + i);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) average.v[k] += take * (w.v[k] - average.v[k]);
    store_packed(b.averages[a] + i, average);
  }
  if (!b.compute) return;
  Packed<bf16, kWidth> rounded;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) rounded.v[k] = static_cast<float>(w.v[k]);
  store_packed(b.compute + i, rounded);
}

}  // namespace

void adam_step(Parameters& parameters, const OptimizerOptions& options, const StepState& state) {
  DDPM_FLOATS(parameters.master.dtype(), T, {
    AdamBuffers<T> b{parameters.master.data<T>(),
                     parameters.moment1.data<T>(),
                     parameters.moment2.data<T>(),
                     parameters.grad.data<T>(),
                     {},
                     parameters.compute ? parameters.compute.data<bf16>() : nullptr,
                     parameters.master.numel()};
    for (size_t a = 0; a < parameters.averages.size(); ++a)
      b.averages[a] = parameters.averages[a].data<T>();
    const auto* scalars = reinterpret_cast<const StepScalars*>(state.scalars.raw());
    // Flat buffers start on the pool's alignment and end on that of a slot.
    with_width<T>(
        b.count,
        [&](auto width) {
          launch(adam_step_kernel<T, width()>, blocks_for(b.count / width()), kThreads, 0, b,
                 options, scalars);
        },
        b.weights);
  });
}

}  // namespace ddpm::cuda
