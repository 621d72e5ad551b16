// CUDA kernels of random.h: the bits of the CPU, because the formulas are the same (philox.h,
// permutation.h).
#include "framework/random/permutation.h"
#include "framework/random/random.h"
#include "framework/random/random_rows.cuh"

namespace ddpm::cuda {
namespace {

template <class T>
struct StoreNormal {
  T* y;
  template <class Width>
  __device__ void operator()(int64_t first, int count, const Bits4& bits, Width) const {
    const Float4 z = to_normal(bits);
    for (int k = 0; k < count; k += Width::value) {
      Packed<T, Width::value> values;
      for (int j = 0; j < Width::value; ++j) values.v[j] = z.v[k + j];
      store_packed(y + first + k, values);
    }
  }
};

template <class T>
struct StoreUniform {
  double low, high;
  T* y;
  template <class Width>
  __device__ void operator()(int64_t first, int count, const Bits4& bits, Width) const {
    for (int k = 0; k < count; k += Width::value) {
      Packed<T, Width::value> values;
      for (int j = 0; j < Width::value; ++j)
        values.v[j] = static_cast<T>(to_interval(bits.v[k + j], low, high));
      store_packed(y + first + k, values);
    }
  }
};

__global__ void randint_kernel(StreamView stream, uint32_t bound, int32_t* y, int64_t count) {
  const int64_t n = global_thread();
  if (n >= count) return;
  const uint32_t bits = philox(stream.seed, stream.row_id(n), 0).v[0];
  y[n] = static_cast<int32_t>(to_index(bits, bound));
}

__global__ void epoch_indices_kernel(StreamView stream, int64_t size, int32_t* y, int64_t count) {
  const int64_t n = global_thread();
  if (n >= count) return;
  const int64_t position = stream.counter[0] * count + n;
  const Permutation epoch(stream.seed, stream.site, static_cast<uint32_t>(position / size),
                          static_cast<uint32_t>(size));
  y[n] = static_cast<int32_t>(epoch(static_cast<uint32_t>(position % size)));
}

}  // namespace

void normal(const RandomStream& stream, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    for_each_quad<T>(stream, y, StoreNormal<T>{out}, out);
  });
}

void uniform(const RandomStream& stream, double low, double high, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    for_each_quad<T>(stream, y, StoreUniform<T>{low, high, out}, out);
  });
}

void randint(const RandomStream& stream, int64_t bound, Tensor& y) {
  launch(randint_kernel, blocks_for(y.numel()), kThreads, 0, StreamView(stream),
         static_cast<uint32_t>(bound), y.data<int32_t>(), y.numel());
}

void epoch_indices(const RandomStream& stream, int64_t size, Tensor& y) {
  launch(epoch_indices_kernel, blocks_for(y.numel()), kThreads, 0, StreamView(stream), size,
         y.data<int32_t>(), y.numel());
}

}  // namespace ddpm::cuda
