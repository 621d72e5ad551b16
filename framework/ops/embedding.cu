// CUDA kernels of embedding.h: one thread per element that is written.
#include "framework/cuda/launch.cuh"
#include "framework/ops/embedding.h"

namespace ddpm::cuda {
namespace {

template <class T>
__global__ void embedding_forward_kernel(const T* table, const int32_t* rows, int64_t width,
                                         int64_t count, T* y) {
  const int64_t i = global_thread();
  if (i < count) y[i] = table[rows[i / width] * width + i % width];
}

template <class T>
__global__ void embedding_backward_kernel(const T* dy, const int32_t* rows, int64_t samples,
                                          int64_t width, int64_t count, Accumulator<T>* dtable) {
  const int64_t i = global_thread();
  if (i >= count) return;
  Accumulator<T> sum = 0;
  for (int64_t n = 0; n < samples; ++n)
    if (rows[n] == i / width) sum += static_cast<Accumulator<T>>(dy[n * width + i % width]);
  dtable[i] = sum;
}

}  // namespace

void embedding_forward(const Tensor& table, const Tensor& rows, Tensor& y) {
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    launch(embedding_forward_kernel<T>, blocks_for(y.numel()), kThreads, 0, table.data<T>(),
           rows.data<int32_t>(), y.shape()[1], y.numel(), y.data<T>());
  });
}

void embedding_backward(const Tensor& dy, const Tensor& rows, Tensor& dtable) {
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    launch(embedding_backward_kernel<T>, blocks_for(dtable.numel()), kThreads, 0, dy.data<T>(),
           rows.data<int32_t>(), rows.numel(), dy.shape()[1], dtable.numel(),
           dtable.data<Accumulator<T>>());
  });
}

}  // namespace ddpm::cuda
