// y[n, j] = f(n)(x[n, j], ...) for tensors seen as (rows, columns): f(n) looks up what a whole row
// shares, such as a coefficient of its timestep, and returns the function of its elements.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

template <int kWidth, class F, class T, class... In>
__global__ void row_map_kernel(F f, int64_t columns, T* out, const In*... in) {
  const int64_t j = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * kWidth;
  if (j >= columns) return;
  const int64_t row = blockIdx.x, offset = row * columns + j;
  const auto function = f(row);
  const auto apply = [&](const auto&... packs) {
    Packed<T, kWidth> result;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) result.v[k] = function(packs.v[k]...);
    store_packed(out + offset, result);
  };
  apply(load_packed<In, kWidth>(in + offset)...);
}

// `f` takes the row and works on elements of type T.
template <class T, class F, class... Inputs>
void row_map(F f, Tensor& y, const Inputs&... x) {
  const int64_t rows = y.shape()[0];
  if (y.numel() == 0) return;
  const int64_t columns = y.numel() / rows;
  T* out = y.data<T>();
  const auto run = [&](const auto*... in) {
    with_width<T>(
        columns,
        [&](auto width) {
          const Grid grid(dim3(static_cast<unsigned>(rows),
                               static_cast<unsigned>(ceil_div(columns, kThreads * width()))));
          launch(row_map_kernel<width(), F, T, std::remove_cvref_t<decltype(*in)>...>, grid,
                 kThreads, 0, f, columns, out, in...);
        },
        out, in...);
  };
  run(static_cast<const T*>(x.template data<T>())...);
}

}  // namespace ddpm::cuda
