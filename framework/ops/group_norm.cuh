// What the kernels of group normalisation share: where a thread finds its channels in [x | skip],
// what normalises them, and what follows the normalisation.
#pragma once

#include "framework/cuda/channel_tiles.cuh"
#include "framework/cuda/moments.cuh"
#include "framework/ops/group_norm.h"
#include "framework/random/philox_block.h"

namespace ddpm::cuda {

// One channel of a sample of [x | skip], or of their gradients: position p is at p * stride.
template <class T>
struct Column {
  T* first;
  int stride;

  __device__ Column(const ChannelTiles& tiles, T* x, T* skip, int x_channels, int64_t sample,
                    int channel) {
    const bool in_x = channel < x_channels;
    stride = in_x ? x_channels : tiles.channels - x_channels;
    first =
        (in_x ? x + channel : skip + (channel - x_channels)) + sample * tiles.positions * stride;
  }
  __device__ T* operator[](int position) const { return first + int64_t{position} * stride; }
};

// y = dropout(silu(u)), both optional. The mask of an element is drawn as on the CPU, by its place
// in the sample.
template <class A>
struct Tail {
  bool silu;
  uint32_t threshold, site;
  A keep;  // 1 / (1 - rate)
  uint64_t seed;
  const int64_t* counter;  // null: no dropout

  explicit Tail(const GroupNormOptions& options)
      : silu(options.silu),
        threshold(dropout_threshold(options.dropout)),
        site(options.stream.site),
        keep(static_cast<A>(1 / (1 - options.dropout))),
        seed(options.stream.seed),
        counter(options.dropout > 0 ? options.stream.counter.data<int64_t>() : nullptr) {}

  __device__ DrawId draw_id(int64_t sample) const {
    if (!counter) return {};
    return {site, static_cast<uint32_t>(counter[0]), static_cast<uint32_t>(counter[1] + sample)};
  }

  // values *= 0 or keep, for elements element .. element + kWidth - 1 of the sample.
  template <int kWidth>
  __device__ void drop(DrawId id, uint32_t element, A (&values)[kWidth]) const {
    if (!counter) return;
    uint64_t key = seed;
#ifdef __CUDA_ARCH__
    asm volatile("" : "+l"(key));  // else the keys of all rounds wait in registers
#endif
    Bits4 bits{};
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      // Packs start at multiples of their width: no pack has parts of two quads.
      const uint32_t word = kWidth % 4 == 0 ? k % 4 : (element + k) % 4;
      if (k % 4 == 0) bits = philox(key, id, (element + k) / 4);
      const uint32_t drawn = word == 0   ? bits.v[0]
                             : word == 1 ? bits.v[1]
                             : word == 2 ? bits.v[2]
                                         : bits.v[3];
      values[k] = drawn >= threshold ? keep * values[k] : A(0);
    }
  }
};

// What normalises an element of type T, and where a kernel finds it.
template <class T>
struct NormPointers {
  using A = Accumulator<T>;
  const A *gamma, *beta;  // (C)
  A *mean, *rstd;         // (N, groups)
  int groups, x_channels;

  NormPointers(const NormInput& input, const Tensor& gain, const Tensor& bias,
               const GroupNormStatistics& statistics)
      : gamma(gain.data<A>()),
        beta(bias.data<A>()),
        mean(statistics.mean.data<A>()),
        rstd(statistics.rstd.data<A>()),
        groups(static_cast<int>(statistics.mean.shape()[1])),
        x_channels(static_cast<int>(input.x.shape()[3])) {}
};

// What convolutions left with x and skip (moments.h), or nothing: null unless both have it and
// groups are whole quads.
struct LeftMoments {
  const float *of_x = nullptr, *of_skip = nullptr;
  int x_quads = 0;

  LeftMoments(const NormInput& input, int groups) {
    const Tensor x = input.x.slot()->moments;
    const Tensor skip = input.skip ? input.skip.slot()->moments : Tensor();
    const bool is_served = x && (skip || !input.skip) && input.channels() / groups % kQuad == 0;
    ++(is_served ? moments_tally().found : moments_tally().missed);
    if (!is_served) return;
    of_x = x.data<float>();
    if (skip) of_skip = skip.data<float>();
    x_quads = static_cast<int>(x.shape()[2]);
  }

  // Of a chunk of a sample and a quad of [x | skip].
  __device__ Moments<float> at(const ChannelTiles& tiles, int64_t sample, int chunk,
                               int quad) const {
    const int64_t index = sample * (tiles.positions / kChunk) + chunk;
    if (quad < x_quads) return load_moments(of_x, index, x_quads, quad);
    return load_moments(of_skip, index, tiles.channels / kQuad - x_quads, quad - x_quads);
  }
};

// What a thread needs of two values per group, first and second (N, groups), for each of its
// channels; groups are counted up, for divisions take long.
template <int kWidth, class A>
__device__ void load_per_group(const ChannelTiles& tiles, const ChannelTile& tile, int groups,
                               const A* first, const A* second, A (&firsts)[kWidth],
                               A (&seconds)[kWidth]) {
  if (tile.begin >= tile.end) return;
  const int group_size = tiles.channels / groups, group = tile.channel / group_size;
  int left = (group + 1) * group_size - tile.channel;  // channels of this group
  int64_t i = tile.sample * groups + group;
  A a = first[i], b = second[i];
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    if (left-- == 0) {
      left = group_size - 1;
      ++i;
      a = first[i];
      b = second[i];
    }
    firsts[k] = a;
    seconds[k] = b;
  }
}

// The part of it that a thread needs: u = scale * (x - mean) + beta, scale = gamma * rstd.
template <class A, int kWidth>
struct Norm {
  A mean[kWidth]{}, scale[kWidth]{}, beta[kWidth]{};

  template <class T>
  __device__ Norm(const NormPointers<T>& from, const ChannelTiles& tiles, const ChannelTile& tile) {
    if (tile.begin >= tile.end) return;
    A gamma[kWidth];
    load_values<A, kWidth>(from.gamma + tile.channel, gamma);
    load_values<A, kWidth>(from.beta + tile.channel, beta);
    load_per_group(tiles, tile, from.groups, from.mean, from.rstd, mean, scale);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) scale[k] *= gamma[k];
  }
};

// What a block takes in the second step: some groups of one sample.
struct GroupRange {
  int64_t sample;
  int first, last;

  // Of a block for `block_channels` channels
  __device__ GroupRange(const ChannelTiles& tiles, int groups, int block_channels) {
    const int per_block = block_channels / (tiles.channels / groups);
    sample = blockIdx.x;
    first = static_cast<int>(blockIdx.y) * per_block;
    last = first + per_block < groups ? first + per_block : groups;
  }
};

__device__ inline int thread_of_block() {
  return static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
}
__device__ inline int threads_of_block() { return static_cast<int>(blockDim.x * blockDim.y); }

}  // namespace ddpm::cuda
