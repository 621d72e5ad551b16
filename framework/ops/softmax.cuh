// What a softmax needs to know of a row, found by one warp in two reads of it: the second one hits
// the L1 cache.
#pragma once

#include <limits>

#include "framework/cuda/block_reduce.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/ops/scalar_math.h"

namespace ddpm::cuda {

// softmax(scale * x)[j] = exp(scale * (x[j] - largest)) / total
template <class T>
struct SoftmaxRow {
  T largest, total;
};

// body(j, pack) for the packs of a row that belong to this lane of the warp; j is the first
// element.
template <int kWidth, class T, class Body>
__device__ void for_lane_packs(const T* row, int64_t length, Body body) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t j = lane * kWidth; j < length; j += kWarp * kWidth)
    body(j, load_packed<T, kWidth>(row + j));
}

template <int kWidth, class T>
__device__ SoftmaxRow<T> softmax_row(const T* row, int64_t length, T scale) {
  SoftmaxRow<T> result{-std::numeric_limits<T>::infinity(), T(0)};
  for_lane_packs<kWidth>(row, length, [&](int64_t, const auto& x) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) result.largest = Max{}(result.largest, x.v[k]);
  });
  result.largest = warp_reduce(result.largest, Max{});
  for_lane_packs<kWidth>(row, length, [&](int64_t, const auto& x) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) result.total += math::exp(scale * (x.v[k] - result.largest));
  });
  result.total = warp_sum(result.total);
  return result;
}

// The row of this warp, when blocks of kThreads threads take one row per warp.
__device__ inline int64_t warp_row() { return global_thread() / kWarp; }
inline int64_t blocks_for_rows(int64_t rows) { return blocks_for(rows * kWarp); }

}  // namespace ddpm::cuda
