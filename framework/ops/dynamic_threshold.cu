// CUDA kernel of dynamic_threshold.h: a block a sample. The bits of |x| are ordered as its values
// are, so that an order statistic is found bit by bit from the top, each time by counting: exact,
// and the same in every run.
#include <type_traits>

#include "framework/cuda/block_reduce.cuh"
#include "framework/ops/dynamic_threshold.h"

namespace ddpm::cuda {
namespace {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <class T>
__device__ Bits<T> magnitude_bits(T x) {
  union {
    T value;
    Bits<T> bits;
  } u = {x};
  return u.bits & ~(Bits<T>(1) << (8 * sizeof(T) - 1));
}

// The element of |x| that `rank` others precede in sorted order.
template <class T>
__device__ T order_statistic(const T* x, int64_t size, int64_t rank) {
  union {
    Bits<T> bits;
    T value;
  } found = {0};
  for (int bit = static_cast<int>(8 * sizeof(T)) - 2; bit >= 0; --bit) {
    const Bits<T> candidate = found.bits | Bits<T>(1) << bit;
    int smaller = 0;
    for (int64_t i = threadIdx.x; i < size; i += blockDim.x)
      smaller += magnitude_bits(x[i]) < candidate ? 1 : 0;
    if (block_sum(smaller) <= rank) found.bits = candidate;
  }
  return found.value;
}

template <class T>
__global__ void dynamic_threshold_kernel(const T* x, int64_t size, QuantilePlace place, T* y) {
  x += static_cast<int64_t>(blockIdx.x) * size;
  y += static_cast<int64_t>(blockIdx.x) * size;
  const T below = order_statistic(x, size, place.below);
  const T above = order_statistic(x, size, place.above);
  const T quantile = below + static_cast<T>(place.share) * (above - below);
  const T s = quantile > 1 ? quantile : T(1);
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    const T low = x[i] > -s ? x[i] : -s;
    y[i] = (low < s ? low : s) / s;
  }
}

}  // namespace

void dynamic_threshold_forward(const Tensor& x, double quantile, Tensor& y) {
  const int64_t samples = x.shape()[0], size = x.numel() / samples;
  DDPM_FLOATS(x.dtype(), T, {
    launch(dynamic_threshold_kernel<T>, static_cast<unsigned>(samples), kThreads, 0, x.data<T>(),
           size, QuantilePlace(quantile, size), y.data<T>());
  });
}

}  // namespace ddpm::cuda
