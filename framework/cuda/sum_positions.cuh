// y[n, c] = factor * sum over positions of x[n, position, c]: bias gradients, means over pixels. In
// passes over chunks of positions that follow from the shape, so the order of a sum is fixed.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/memory.h"
#include "framework/core/tensor.h"
#include "framework/cuda/channel_tiles.cuh"

namespace ddpm::cuda {

// out[n, chunk, c] = factor * sum over the positions of the chunk of x[n, position, c]
template <class T, int kWidth>
__global__ void sum_positions_kernel(ChannelTiles tiles, T factor, const T* __restrict__ x,
                                     T* __restrict__ out) {
  const ChannelTile tile(tiles, kWidth);
  T sums[1][kWidth] = {};
#pragma unroll 4
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const auto in = load_packed<T, kWidth>(x + tile.offset + int64_t{p} * tiles.channels);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sums[0][k] += in.v[k];
  }
  sum_block_rows(tiles, sums, [&](int channel, const T(&totals)[1]) {
    out[int64_t{blockIdx.x} * tiles.channels + channel] = factor * totals[0];
  });
}

// Every pass leaves one position per chunk, until there is one.
inline void sum_positions(const Tensor& x, int64_t samples, int64_t channels, double factor,
                          Tensor& y) {
  if (x.numel() == 0) return memory::zero(Device::kCuda, y.raw(), y.bytes());
  DDPM_FLOATS(x.dtype(), T, {
    const auto reduce = [&](auto width) {
      Tensor in = x;
      int64_t chunks = 0;
      do {
        const ChannelTiles tiles(samples, in.numel() / (samples * channels), channels, width());
        chunks = tiles.chunks;
        Tensor out =
            chunks == 1 ? y : Tensor::empty({samples, chunks, channels}, x.dtype(), x.device());
        launch(sum_positions_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
               chunks == 1 ? static_cast<T>(factor) : T(1), in.data<T>(), out.data<T>());
        in = out;
      } while (chunks > 1);
    };
    with_width<T>(channels, reduce, x.raw());
  });
}

}  // namespace ddpm::cuda
