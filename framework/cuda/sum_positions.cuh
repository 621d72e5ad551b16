// y[n, c] = factor * sum over positions of x[n, position, c], y of x's accumulator type: bias
// gradients, means over pixels. What x has of such sums already is not summed again. In passes over
// chunks of positions that follow from the shape, so the order of a sum is fixed.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/memory.h"
#include "framework/core/tensor.h"
#include "framework/cuda/channel_tiles.cuh"

namespace ddpm::cuda {

// out[n, chunk, c] = factor * sum over the positions of the chunk of x[n, position, c]
template <class T, int kWidth>
__global__ void sum_positions_kernel(ChannelTiles tiles, Accumulator<T> factor,
                                     const T* __restrict__ x, Accumulator<T>* __restrict__ out) {
  using A = Accumulator<T>;
  const ChannelTile tile(tiles, kWidth);
  A sums[1][kWidth] = {};
#pragma unroll 4
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const auto in = load_packed<T, kWidth>(x + tile.offset + int64_t{p} * tiles.channels);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sums[0][k] += in.v[k];
  }
  sum_block_rows(tiles, sums, [&](int channel, const A(&totals)[1]) {
    out[int64_t{blockIdx.x} * tiles.channels + channel] = factor * totals[0];
  });
}

// x (samples, positions, channels). Every pass leaves one position per chunk, until there is one.
template <class T>
void sum_positions(const T* x, int64_t samples, int64_t positions, int64_t channels, double factor,
                   Accumulator<T>* y) {
  using A = Accumulator<T>;
  with_width<T>(
      channels,
      [&](auto width) {
        ChannelTiles tiles(samples, positions, channels, width());
        // A second pass has few positions: blocks of few channels take them all.
        constexpr int64_t kFewPositions = 512, kColumns = 8;
        if (positions <= kFewPositions && samples == 1)
          tiles =
              tiles.in_one_chunk(static_cast<int>(std::min(kColumns, channels / width())), width());
        if (tiles.chunks == 1)
          return launch(sum_positions_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
                        static_cast<A>(factor), x, y);
        const Tensor partial =
            Tensor::empty({samples, tiles.chunks, channels}, dtype_of<A>, Device::kCuda);
        launch(sum_positions_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles, A(1), x,
               partial.data<A>());
        sum_positions<A>(partial.data<A>(), samples, tiles.chunks, channels, factor, y);
      },
      x);
}

inline void sum_positions(const Tensor& x, int64_t samples, int64_t channels, double factor,
                          Tensor& y) {
  if (x.numel() == 0) return memory::zero(Device::kCuda, y.raw(), y.bytes());
  if (const Tensor sums = x.slot()->position_sums)  // of channels as wide as these
    return sum_positions(sums, samples, channels, factor, y);
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    sum_positions<T>(x.data<T>(), samples, x.numel() / (samples * channels), channels, factor,
                     y.data<Accumulator<T>>());
  });
}

}  // namespace ddpm::cuda
