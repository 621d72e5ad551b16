#include "framework/train/adam.h"

#include <cmath>
#include <vector>

#include "framework/cpu/parallel.h"

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
    const T scale = static_cast<T>(s.grad_scale), rate = static_cast<T>(s.adam_rate);
    const T keep1 = static_cast<T>(options.beta1), take1 = static_cast<T>(1 - options.beta1);
    const T keep2 = static_cast<T>(options.beta2), take2 = static_cast<T>(1 - options.beta2);
    const T epsilon = static_cast<T>(options.epsilon);
    // Ranges of 16,384 elements stay in the cache between the update and the averages.
    parallel_ranges(parameters.master.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
      T* __restrict w = weights;
      T* __restrict m = moment1;
      T* __restrict v = moment2;
      for (int64_t i = begin; i < end; ++i) {
        const T g = scale * grad[i];
        m[i] = keep1 * m[i] + take1 * g;
        v[i] = keep2 * v[i] + take2 * g * g;
        w[i] -= rate * m[i] / (std::sqrt(v[i]) + epsilon);
      }
      for (size_t k = 0; k < averages.size(); ++k) {
        T* __restrict average = averages[k];
        const T take = static_cast<T>(1 - s.average_decay[k]);
        for (int64_t i = begin; i < end; ++i) average[i] += take * (w[i] - average[i]);
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
