// CUDA kernels of resample.h: one thread per pixel and channel, or sixteen bytes of channels, of
// the smaller image.
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/ops/resample.h"

namespace ddpm::cuda {
namespace {

// Where in the large image the block of four begins that belongs to element i of images `width`
// wide. A large image is twice as wide, so two of its rows are four small ones long. Divisions of
// 32 bits are several times as fast as those of 64.
__device__ int64_t block_of(uint32_t i, uint32_t width, uint32_t channels) {
  const uint32_t pixel = i / channels;
  return (int64_t{pixel / width} * 4 * width + pixel % width * 2) * channels + i % channels;
}

template <class T, int kWidth>
__global__ void repeat_2x2_kernel(int64_t count, uint32_t width, uint32_t channels,
                                  Accumulator<T> factor, const T* x, T* y) {
  const int64_t i = global_thread() * kWidth;
  if (i >= count) return;
  const int64_t left = block_of(static_cast<uint32_t>(i), width, channels);
  Packed<T, kWidth> value = load_packed<T, kWidth>(x + i);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) value.v[k] = factor * value.v[k];
  const int64_t down = int64_t{2} * width * channels;
  store_packed(y + left, value);
  store_packed(y + left + channels, value);
  store_packed(y + left + down, value);
  store_packed(y + left + down + channels, value);
}

template <class T, int kWidth>
__global__ void sum_2x2_kernel(int64_t count, uint32_t width, uint32_t channels,
                               Accumulator<T> factor, const T* x, T* y) {
  const int64_t i = global_thread() * kWidth;
  if (i >= count) return;
  const int64_t left = block_of(static_cast<uint32_t>(i), width, channels);
  const int64_t down = int64_t{2} * width * channels;
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
  const int64_t count = x.numel();
  const uint32_t width = static_cast<uint32_t>(x.shape()[2]);
  const uint32_t channels = static_cast<uint32_t>(x.shape()[3]);
  DDPM_ASSERT(count <= UINT32_MAX, "{} elements", count);
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    with_width<T>(
        channels,
        [&](auto pack) {
          launch(repeat_2x2_kernel<T, pack()>, blocks_for(count / pack()), kThreads, 0, count,
                 width, channels, static_cast<Accumulator<T>>(factor), in, out);
        },
        in, out);
  });
}

void sum_2x2(const Tensor& x, double factor, Tensor& y) {
  const int64_t count = y.numel();
  const uint32_t width = static_cast<uint32_t>(y.shape()[2]);
  const uint32_t channels = static_cast<uint32_t>(y.shape()[3]);
  DDPM_ASSERT(count <= UINT32_MAX, "{} elements", count);
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    with_width<T>(
        channels,
        [&](auto pack) {
          launch(sum_2x2_kernel<T, pack()>, blocks_for(count / pack()), kThreads, 0, count, width,
                 channels, static_cast<Accumulator<T>>(factor), in, out);
        },
        in, out);
  });
}

}  // namespace ddpm::cuda
