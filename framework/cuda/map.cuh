// y[i] = f(x[i], ...) over tensors of one type, computed in its accumulator type: the CUDA
// counterpart of framework/cpu/map.h. Sixteen bytes per thread where every tensor is aligned for
// it.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

template <class F, class T, class... In>
__global__ void map_kernel(F f, T* out, int64_t n, const In*... in) {
  const int64_t i = global_thread();
  if (i < n) out[i] = f(static_cast<Accumulator<T>>(in[i])...);
}

// The last elements, fewer than a pack, are done one by one by the thread after the packs.
template <class F, class T, class... In>
__global__ void map_packed_kernel(F f, T* out, int64_t n, const In*... in) {
  const int64_t i = global_thread() * Packed<T>::kSize;
  if (i + Packed<T>::kSize <= n) {
    const auto apply = [&](const auto&... packs) {
      Packed<T> result;
#pragma unroll
      for (int k = 0; k < Packed<T>::kSize; ++k)
        result.v[k] = f(static_cast<Accumulator<T>>(packs.v[k])...);
      store_packed(out + i, result);
    };
    apply(load_packed(in + i)...);
  } else {
    for (int64_t k = i; k < n; ++k) out[k] = f(static_cast<Accumulator<T>>(in[k])...);
  }
}

template <class F, class... Inputs>
void map(F f, Tensor& y, const Inputs&... x) {
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    const int64_t n = y.numel();
    const auto run = [&](const auto*... in) {
      if (is_packable(out) && (is_packable(in) && ...))
        launch(map_packed_kernel<F, T, std::remove_cvref_t<decltype(*in)>...>,
               blocks_for(ceil_div(n, Packed<T>::kSize)), kThreads, 0, f, out, n, in...);
      else
        launch(map_kernel<F, T, std::remove_cvref_t<decltype(*in)>...>, blocks_for(n), kThreads, 0,
               f, out, n, in...);
    };
    run(static_cast<const T*>(x.template data<T>())...);
  });
}

}  // namespace ddpm::cuda
