// y[i] = f(x[i], ...) over tensors of one type, computed in its accumulator type, in pieces on all
// threads.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/cpu/parallel.h"

namespace ddpm::cpu {

template <class F, class... Inputs>
void map(F f, Tensor& y, const Inputs&... x) {
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    T* __restrict out = y.data<T>();
    const auto run = [&](const auto* __restrict... in) {
      parallel_ranges(y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = f(static_cast<Accumulator<T>>(in[i])...);
      });
    };
    run(static_cast<const T*>(x.template data<T>())...);
  });
}

}  // namespace ddpm::cpu
