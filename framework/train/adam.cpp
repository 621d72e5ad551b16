#include "framework/train/adam.h"

#include <vector>

#include "framework/cpu/parallel.h"
#include "framework/train/step_math.h"

namespace ddpm {

void optimizer_step(Parameters& parameters, const OptimizerOptions& options, StepState& state) {
  DDPM_ASSERT(static_cast<int>(parameters.averages.size()) == options.averages,
              "{} averages are allocated, {} are configured", parameters.averages.size(),
              options.averages);
  begin_step(options, state);
  measure_gradient(parameters.grad, options, state);
  DDPM_DISPATCH(parameters.master.device(), adam_step(parameters, options, state));
  end_step(state);
}

namespace cpu {

void adam_step(Parameters& parameters, const OptimizerOptions& options, const StepState& state) {
  const StepScalars& s = *reinterpret_cast<const StepScalars*>(state.scalars.raw());
  if (s.grad_scale == 0) return;
  DDPM_FLOATS(parameters.master.dtype(), T, {
    T* weights = parameters.master.data<T>();
    T* moment1 = parameters.moment1.data<T>();
    T* moment2 = parameters.moment2.data<T>();
    const T* grad = parameters.grad.data<T>();
    std::vector<T*> averages;
    for (const Tensor& average : parameters.averages) averages.push_back(average.data<T>());
    bf16* compute = parameters.compute ? parameters.compute.data<bf16>() : nullptr;
    const math::Adam<T> update(options, s);
    // Ranges of 16,384 elements stay in the cache between the update and the averages.
    parallel_ranges(parameters.master.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
      T* __restrict w = weights;
      T* __restrict m = moment1;
      T* __restrict v = moment2;
      for (int64_t i = begin; i < end; ++i) update(grad[i], m[i], v[i], w[i]);
      for (size_t k = 0; k < averages.size(); ++k) {
        T* __restrict average = averages[k];
        const T take = static_cast<T>(1 - s.average_decay[k]);
        for (int64_t i = begin; i < end; ++i) average[i] += take * (w[i] - average[i]);
      }
      if (compute)
        for (int64_t i = begin; i < end; ++i) compute[i] = static_cast<float>(w[i]);
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
