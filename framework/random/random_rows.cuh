// The draws of a RandomStream in kernels: one thread for the four words of a Philox counter.
#pragma once

#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/random/philox.h"
#include "framework/random/random.h"

namespace ddpm::cuda {

// A stream as a kernel sees it: the counter is read by the kernel, never by the host.
struct StreamView {
  uint64_t seed;
  uint32_t site;
  const int64_t* counter;

  explicit StreamView(const RandomStream& stream)
      : seed(stream.seed), site(stream.site), counter(stream.counter.data<int64_t>()) {}
  __device__ DrawId row_id(int64_t row) const {
    return {site, static_cast<uint32_t>(counter[0]), static_cast<uint32_t>(counter[1] + row)};
  }
};

template <class Use, class Width>
__global__ void quads_kernel(StreamView stream, int64_t row_size, uint32_t quads, uint32_t count,
                             Use use, Width width) {
  const int64_t i = global_thread();
  if (i >= count) return;
  // Divisions of 32 bits are several times as fast as those of 64.
  const uint32_t row = static_cast<uint32_t>(i) / quads, quad = static_cast<uint32_t>(i) % quads;
  const int64_t first = int64_t{4} * quad, rest = row_size - first;
  const Bits4 bits = philox(stream.seed, stream.row_id(row), quad);
  use(row * row_size + first, rest < 4 ? static_cast<int>(rest) : 4, bits, width);
}

// use(first, count, bits, width) for the four words of every counter of y (N, ...): they belong to
// the elements first .. first + count - 1, which can be moved `width` at a time. `addresses` are
// those of the tensors, all of y's shape and of type T.
template <class T, class Use, class... Addresses>
void for_each_quad(const RandomStream& stream, const Tensor& y, Use use,
                   const Addresses*... addresses) {
  const int64_t rows = y.shape()[0];
  if (y.numel() == 0) return;
  const int64_t row_size = y.numel() / rows, quads = ceil_div(row_size, 4), count = rows * quads;
  DDPM_ASSERT(count <= UINT32_MAX, "{} rows of {} elements", rows, row_size);
  // Packs of bf16 would be eight elements wide, and a counter has words for four.
  with_width<std::conditional_t<sizeof(T) < 4, float, T>>(
      row_size,
      [&](auto width) {
        launch(quads_kernel<Use, decltype(width)>, blocks_for(count), kThreads, 0,
               StreamView(stream), row_size, static_cast<uint32_t>(quads),
               static_cast<uint32_t>(count), use, width);
      },
      addresses...);
}

}  // namespace ddpm::cuda
