// CUDA kernels of reduce.h.
#include "framework/cuda/sum_positions.cuh"
#include "framework/cuda/sum_rows.cuh"
#include "framework/ops/reduce.h"

namespace ddpm::cuda {
namespace {

template <class T>
struct StoreScaled {
  double factor;
  T* y;
  __device__ void operator()(int64_t i, double sum) const { y[i] = static_cast<T>(factor * sum); }
};

// dx (N, positions, channels) is dy (N, channels) at every position, times factor.
template <class T>
__global__ void spread_kernel(const T* dy, int64_t sample_size, int64_t channels,
                              Accumulator<T> factor, T* dx, int64_t count) {
  const int64_t i = global_thread();
  if (i < count) dx[i] = factor * dy[i / sample_size * channels + i % channels];
}

void spread(const Tensor& dy, int64_t sample_size, int64_t channels, double factor, Tensor& dx) {
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    launch(spread_kernel<T>, blocks_for(dx.numel()), kThreads, 0, dy.data<T>(), sample_size,
           channels, static_cast<Accumulator<T>>(factor), dx.data<T>(), dx.numel());
  });
}

}  // namespace

void row_sum_forward(const Tensor& x, int64_t rows, double factor, Tensor& y) {
  DDPM_FLOATS(x.dtype(), T, {
    sum_rows(static_cast<const T*>(x.data<T>()), rows, x.numel() / rows, Identity{},
             StoreScaled<T>{factor, y.data<T>()});
  });
}

void row_sum_backward(const Tensor& dy, int64_t rows, double factor, Tensor& dx) {
  spread(dy, dx.numel() / rows, 1, factor, dx);
}

void column_sum(const Tensor& x, int64_t columns, Tensor& y) { sum_positions(x, 1, columns, 1, y); }

void position_sum_forward(const Tensor& x, double factor, Tensor& y) {
  sum_positions(x, y.shape()[0], y.shape()[1], factor, y);
}

void position_sum_backward(const Tensor& dy, double factor, Tensor& dx) {
  const int64_t samples = dy.shape()[0], channels = dy.shape()[1];
  if (dx.numel() > 0) spread(dy, dx.numel() / samples, channels, factor, dx);
}

}  // namespace ddpm::cuda
