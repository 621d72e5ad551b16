// Reductions over the threads of a warp or of a block, in a fixed order: the same bits in every
// run. All threads of the block call them, every thread receives the result, and the number of
// threads is a multiple of 32.
#pragma once

#include "framework/cuda/launch.cuh"

namespace ddpm::cuda {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}

// `identity` leaves every value as it is: 0 for a sum.
template <class T, class Combine>
__device__ T block_reduce(T value, Combine combine, T identity) {
  __shared__ T partial[kWarp];  // one per warp
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = warp_reduce(value, combine);
  __syncthreads();  // the threads may still be reading the result of an earlier call
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return warp_reduce(lane < warps ? partial[lane] : identity, combine);
}

template <class T>
__device__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}
template <class T>
__device__ T block_sum(T value) {
  return block_reduce(value, Sum{}, T(0));
}

}  // namespace ddpm::cuda
