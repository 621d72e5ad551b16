// finish(i, sum_j f(x[i, j])) for x seen as (rows, columns): sums in double, in an order that
// follows from the shape alone. Long rows are cut into chunks first, so that one row fills the GPU.
#pragma once

#include "framework/core/tensor.h"
#include "framework/cuda/block_reduce.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

struct Identity {
  template <class T>
  __device__ double operator()(T x) const {
    return static_cast<double>(x);
  }
};
struct Square {
  template <class T>
  __device__ double operator()(T x) const {
    return static_cast<double>(x) * static_cast<double>(x);
  }
};

// A block per chunk of a row: finish(row * chunks + chunk, sum) is called by one thread.
template <int kWidth, class T, class F, class Finish>
__global__ void sum_chunks_kernel(const T* x, int64_t columns, int64_t chunk, int64_t chunks, F f,
                                  Finish finish) {
  const int64_t begin = blockIdx.x % chunks * chunk;
  const int64_t end = begin + chunk < columns ? begin + chunk : columns;
  const T* row = x + blockIdx.x / chunks * columns;
  double total = 0;
#pragma unroll 4
  for (int64_t j = begin + threadIdx.x * kWidth; j < end; j += kThreads * kWidth) {
    const auto in = load_packed<T, kWidth>(row + j);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) total += f(in.v[k]);
  }
  total = block_sum(total);
  if (threadIdx.x == 0) finish(blockIdx.x, total);
}

struct StorePartial {
  double* out;
  __device__ void operator()(int64_t i, double sum) const { out[i] = sum; }
};

template <class T, class F, class Finish>
void sum_rows(const T* x, int64_t rows, int64_t columns, F f, Finish finish) {
  constexpr int64_t kChunk = 16384;  // 64 elements per thread
  const auto sum = [&](int64_t chunk, int64_t chunks, auto finish_chunk) {
    with_width<T>(
        columns,
        [&](auto width) {
          launch(sum_chunks_kernel<width(), T, F, decltype(finish_chunk)>, rows * chunks, kThreads,
                 0, x, columns, chunk, chunks, f, finish_chunk);
        },
        x);
  };
  const int64_t chunks = ceil_div(columns, kChunk);
  if (chunks <= 1) return sum(columns, 1, finish);
  const Tensor partial = Tensor::empty({rows, chunks}, DType::kF64, Device::kCuda);
  sum(kChunk, chunks, StorePartial{partial.data<double>()});
  launch(sum_chunks_kernel<1, double, Identity, Finish>, rows, kThreads, 0,
         static_cast<const double*>(partial.data<double>()), chunks, chunks, int64_t{1}, Identity{},
         finish);
}

}  // namespace ddpm::cuda
