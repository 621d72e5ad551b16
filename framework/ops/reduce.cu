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
__global__ void spread_kernel(const T* dy, int64_t sample_size, int64_t channels, T factor, T* dx,
                              int64_t count) {
  const int64_t i = global_thread();
  if (i < count) dx[i] = factor * dy[i / sample_size * channels + i % channels];
}

void spread(const Tensor& dy, int64_t sample_size, int64_t channels, double factor, Tensor& dx) {
  DDPM_FLOATS(dy.dtype(), T, {
    launch(spread_kernel<T>, blocks_for(dx.numel()), kThreads, 0, dy.data<T>(), sample_size,
           channels, static_cast<T>(factor), dx.data<T>(), dx.numel());
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

void spatial_mean_forward(const Tensor& x, Tensor& y) {
  const double positions = static_cast<double>(x.shape()[1] * x.shape()[2]);
  sum_positions(x, x.shape()[0], x.shape()[3], 1 / positions, y);
}

void spatial_mean_backward(const Tensor& dy, Tensor& dx) {
  const int64_t positions = dx.shape()[1] * dx.shape()[2], channels = dx.shape()[3];
  spread(dy, positions * channels, channels, 1 / static_cast<double>(positions), dx);
}

}  // namespace ddpm::cuda
