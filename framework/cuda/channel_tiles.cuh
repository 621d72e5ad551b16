// How the blocks of a kernel share a tensor (N, positions, channels) when work is per channel: a
// block takes a chunk of positions and a tile of channels of one sample, and a thread takes the
// same kWidth channels at every `rows`-th position of the chunk. All of it follows from the shape
// of one sample, so a sample gets the same bits in any batch and on any device.
#pragma once

#include <algorithm>

#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

struct ChannelTiles {
  static constexpr int kMaxColumns = 128;
  int64_t samples;
  int positions, channels;
  int columns, rows;  // of a block's threads, along the channels and along the positions
  int tiles;          // blocks along the channels
  int chunk, chunks;  // positions per block, blocks along the positions

  // `width` is that of the kernel: channels per thread.
  ChannelTiles(int64_t sample_count, int64_t position_count, int64_t channel_count, int width)
      : samples(sample_count),
        positions(static_cast<int>(position_count)),
        channels(static_cast<int>(channel_count)) {
    constexpr int64_t kMost = 1 << 30;
    DDPM_ASSERT(0 < position_count && position_count <= kMost && 0 < channel_count &&
                    channel_count <= kMost,
                "{} positions of {} channels", position_count, channel_count);
    // Eight positions per thread keep enough loads in flight; at most 256 chunks keep many samples
    // cheap to merge and still let a single one fill a GPU.
    constexpr int kPositionsPerThread = 8, kMaxChunks = 256;
    const int64_t vectors = channels / width;
    tiles = static_cast<int>(ceil_div(vectors, kMaxColumns));
    columns = static_cast<int>(ceil_div(vectors, tiles));
    rows = static_cast<int>(std::min<int64_t>(kThreads / columns, positions));
    const int64_t steps = ceil_div(ceil_div(positions, rows), kMaxChunks);
    chunk = rows * static_cast<int>(std::max<int64_t>(kPositionsPerThread, steps));
    chunks = static_cast<int>(ceil_div(positions, chunk));
  }

  // The same tensor with all positions in one chunk and tiles of `tile_columns` threads.
  ChannelTiles in_one_chunk(int tile_columns, int width) const {
    ChannelTiles t = *this;
    t.columns = tile_columns;
    t.rows = std::min(kThreads / tile_columns, positions);
    t.tiles = static_cast<int>(ceil_div(channels / width, tile_columns));
    t.chunk = positions;
    t.chunks = 1;
    return t;
  }

  dim3 grid() const {
    DDPM_ASSERT(samples * chunks <= INT32_MAX, "{} samples in {} chunks", samples, chunks);
    return dim3(static_cast<unsigned>(samples * chunks), static_cast<unsigned>(tiles));
  }
  dim3 block() const { return dim3(static_cast<unsigned>(columns), static_cast<unsigned>(rows)); }

  __device__ int chunk_size(int i) const {
    const int rest = positions - i * chunk;
    return rest < chunk ? rest : chunk;
  }
};

// What one thread takes: positions begin, begin + rows, ... below end, channels from `channel` on.
struct ChannelTile {
  int64_t sample;
  int first, last;  // the block's positions: from `first` to before `last`
  int begin, end;
  int channel;
  int64_t offset;  // of (sample, 0, channel); add position * channels

  __device__ ChannelTile(const ChannelTiles& t, int width) {
    sample = blockIdx.x / t.chunks;
    const int i = static_cast<int>(blockIdx.x) % t.chunks;
    first = i * t.chunk;
    begin = first + static_cast<int>(threadIdx.y);
    last = end = first + t.chunk_size(i);
    channel = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * width;
    offset = sample * t.positions * t.channels + channel;
    if (channel >= t.channels) begin = end;  // beyond the last tile's channels: no work
  }
};

// Adds up what the threads of a block have for the same channel, row after row, and calls
// store(channel, totals) once per channel. All threads of the block call this.
template <int kSums, int kWidth, class A, class Store>
__device__ void sum_block_rows(const ChannelTiles& tiles, const A (&sums)[kSums][kWidth],
                               Store store) {
  __align__(16) __shared__ A shared[kSums][kThreads * kWidth];
  const int width = static_cast<int>(blockDim.x) * kWidth;
  const int row = static_cast<int>(threadIdx.y), column = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int s = 0; s < kSums; ++s)
    store_values<A, kWidth>(shared[s] + row * width + column * kWidth, sums[s]);
  __syncthreads();
  const int threads = static_cast<int>(blockDim.x * blockDim.y);
  for (int c = row * static_cast<int>(blockDim.x) + column; c < width; c += threads) {
    A totals[kSums] = {};
    for (int r = 0; r < static_cast<int>(blockDim.y); ++r)
#pragma unroll
      for (int s = 0; s < kSums; ++s) totals[s] += shared[s][r * width + c];
    const int channel = static_cast<int>(blockIdx.y) * width + c;
    if (channel < tiles.channels) store(channel, totals);
  }
}

}  // namespace ddpm::cuda
