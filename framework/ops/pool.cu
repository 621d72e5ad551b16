// CUDA kernels of pool.h: one thread per element that is written.
#include "framework/cuda/launch.cuh"
#include "framework/ops/pool_math.h"

namespace ddpm::cuda {
namespace {

using math::PoolExtents;
using math::PoolRange;

// Element i of images (height, width, channels).
struct Place {
  int64_t image, row, column, channel;
  __device__ Place(int64_t i, int64_t height, int64_t width, int64_t channels)
      : image(i / (height * width * channels)),
        row(i / (width * channels) % height),
        column(i / channels % width),
        channel(i % channels) {}
};

template <class T, bool kMax>
__global__ void pool_forward_kernel(PoolExtents e, int64_t count, const T* x, T* y) {
  using A = Accumulator<T>;
  const int64_t i = global_thread();
  if (i >= count) return;
  const Place at(i, e.out_height, e.out_width, e.channels);
  const PoolRange rows = math::pool_window(e, at.row, e.height);
  const PoolRange columns = math::pool_window(e, at.column, e.width);
  const T* channel = x + at.image * e.height * e.width * e.channels + at.channel;
  A value = kMax ? static_cast<A>(channel[(rows.first * e.width + columns.first) * e.channels]) : 0;
  for (int64_t h = rows.first; h < rows.last; ++h)
    for (int64_t w = columns.first; w < columns.last; ++w) {
      const A element = static_cast<A>(channel[(h * e.width + w) * e.channels]);
      if (kMax)
        value = element > value ? element : value;
      else
        value += element;
    }
  y[i] = static_cast<T>(kMax ? value : value / static_cast<A>(rows.count() * columns.count()));
}

// x is null for the mean, whose gradient does not depend on it.
template <class T, bool kMax>
__global__ void pool_backward_kernel(PoolExtents e, int64_t count, const T* x, const T* dy, T* dx) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const Place at(i, e.height, e.width, e.channels);
  const T* gradients = dy + at.image * e.out_height * e.out_width * e.channels + at.channel;
  if constexpr (kMax) {
    const T* channel = x + at.image * e.height * e.width * e.channels + at.channel;
    dx[i] = static_cast<T>(math::max_pool_gradient(e, channel, gradients, at.row, at.column));
  } else {
    dx[i] = static_cast<T>(math::mean_pool_gradient(e, gradients, at.row, at.column));
  }
}

template <bool kMax>
void forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y) {
  const PoolExtents e(x.shape(), y.shape(), geometry);
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    launch(pool_forward_kernel<T, kMax>, blocks_for(y.numel()), kThreads, 0, e, y.numel(),
           static_cast<const T*>(x.data<T>()), y.data<T>());
  });
}

template <bool kMax>
void backward(const Tensor& x, const Tensor& dy, const PoolGeometry& geometry, Tensor& dx) {
  const PoolExtents e(dx.shape(), dy.shape(), geometry);
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    launch(pool_backward_kernel<T, kMax>, blocks_for(dx.numel()), kThreads, 0, e, dx.numel(),
           static_cast<const T*>(x ? x.data<T>() : nullptr), static_cast<const T*>(dy.data<T>()),
           dx.data<T>());
  });
}

}  // namespace

void max_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y) {
  forward<true>(x, geometry, y);
}
void max_pool_backward(const Tensor& x, const Tensor& dy, const PoolGeometry& geometry,
                       Tensor& dx) {
  backward<true>(x, dy, geometry, dx);
}
void mean_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y) {
  forward<false>(x, geometry, y);
}
void mean_pool_backward(const Tensor& dy, const PoolGeometry& geometry, Tensor& dx) {
  backward<false>({}, dy, geometry, dx);
}

}  // namespace ddpm::cuda
