// CUDA kernels of resample.h: one thread per pixel and channel, or sixteen bytes of channels, of
// the smaller image.
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/ops/resample.h"

namespace ddpm::cuda {
namespace {

// The top left pixel of the block of four that belongs to pixel `pixel` of images `width` wide. A
// large image is twice as wide, so two of its rows are four small ones long.
__device__ int64_t block_of(int64_t pixel, int64_t width) {
  return pixel / width * 4 * width + pixel % width * 2;
}

template <class T, int kWidth>
__global__ void repeat_2x2_kernel(int64_t count, int64_t width, int64_t channels, T factor,
                                  const T* x, T* y) {
  const int64_t i = global_thread() * kWidth;
  if (i >= count) return;
  const int64_t left = block_of(i / channels, width) * channels + i % channels;
  Packed<T, kWidth> value = load_packed<T, kWidth>(x + i);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) value.v[k] *= factor;
  const int64_t down = 2 * width * channels;
  store_packed(y + left, value);
  store_packed(y + left + channels, value);
  store_packed(y + left + down, value);
  store_packed(y + left + down + channels, value);
}

template <class T, int kWidth>
__global__ void sum_2x2_kernel(int64_t count, int64_t width, int64_t channels, T factor, const T* x,
                               T* y) {
  const int64_t i = global_thread() * kWidth;
  if (i >= count) return;
  const int64_t left = block_of(i / channels, width) * channels + i % channels;
  const int64_t down = 2 * width * channels;
  const auto a = load_packed<T, kWidth>(x + left), b = load_packed<T, kWidth>(x + left + channels);
  const auto c = load_packed<T, kWidth>(x + left + down);
  const auto d = load_packed<T, kWidth>(x + left + down + channels);
  Packed<T, kWidth> sum;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) sum.v[k] = factor * ((a.v[k] + b.v[k]) + (c.v[k] + d.v[k]));
  store_packed(y + i, sum);
}

}  // namespace

void repeat_2x2(const Tensor& x, double factor, Tensor& y) {
  const int64_t count = x.numel(), width = x.shape()[2], channels = x.shape()[3];
  DDPM_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    with_width<T>(
        channels,
        [&](auto pack) {
          launch(repeat_2x2_kernel<T, pack()>, blocks_for(count / pack()), kThreads, 0, count,
                 width, channels, static_cast<T>(factor), in, out);
        },
        in, out);
  });
}

void sum_2x2(const Tensor& x, double factor, Tensor& y) {
  const int64_t count = y.numel(), width = y.shape()[2], channels = y.shape()[3];
  DDPM_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    with_width<T>(
        channels,
        [&](auto pack) {
          launch(sum_2x2_kernel<T, pack()>, blocks_for(count / pack()), kThreads, 0, count, width,
                 channels, static_cast<T>(factor), in, out);
        },
        in, out);
  });
}

}  // namespace ddpm::cuda
