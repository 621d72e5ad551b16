// CUDA kernels of group normalisation. A group's statistics need all positions of its sample, so
// that a pass is three launches: sums per channel and chunk of positions, in all blocks; their
// totals per group, one block per sample; and the elements themselves, in all blocks again. What
// follows the normalisation is not kept but computed a second time: backward reads x and dy twice
// and writes dx once.
#include <cmath>

#include "framework/cuda/channel_tiles.cuh"
#include "framework/ops/group_norm.h"
#include "framework/ops/scalar_math.h"
#include "framework/random/philox_block.h"

namespace ddpm::cuda {
namespace {

// Count, mean and sum of squared deviations of some elements; (0, 0, 0) of none.
template <class T>
struct Moments {
  T count, mean, m2;

  // Chan, Golub & LeVeque 1979
  __device__ void merge(const Moments& other) {
    const T total = count + other.count, delta = other.mean - mean;
    const T share = other.count / total;
    m2 += other.m2 + delta * delta * count * share;
    mean += delta * share;
    count = total;
  }
};

// y = dropout(silu(u)), both optional. The mask of an element is drawn as on the CPU, by its place
// in the sample.
template <class T>
struct Tail {
  bool silu;
  uint32_t threshold, site;
  T keep;  // 1 / (1 - rate)
  uint64_t seed;
  const int64_t* counter;  // null: no dropout

  explicit Tail(const GroupNormOptions& options)
      : silu(options.silu),
        threshold(dropout_threshold(options.dropout)),
        site(options.stream.site),
        keep(static_cast<T>(1 / (1 - options.dropout))),
        seed(options.stream.seed),
        counter(options.dropout > 0 ? options.stream.counter.data<int64_t>() : nullptr) {}

  __device__ DrawId draw_id(int64_t sample) const {
    if (!counter) return {};
    return {site, static_cast<uint32_t>(counter[0]), static_cast<uint32_t>(counter[1] + sample)};
  }

  // values *= 0 or keep, for elements element .. element + kWidth - 1 of the sample.
  template <int kWidth>
  __device__ void drop(DrawId id, uint32_t element, Packed<T, kWidth>& values) const {
    if (!counter) return;
    Bits4 bits{};
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      // Packs start at multiples of their width: no pack has parts of two quads.
      const uint32_t word = kWidth % 4 == 0 ? k % 4 : (element + k) % 4;
      if (k % 4 == 0) bits = philox(seed, id, (element + k) / 4);
      const uint32_t drawn = word == 0   ? bits.v[0]
                             : word == 1 ? bits.v[1]
                             : word == 2 ? bits.v[2]
                                         : bits.v[3];
      values.v[k] = drawn >= threshold ? keep * values.v[k] : T(0);
    }
  }
};

// Where a kernel finds what normalises an element.
template <class T>
struct NormPointers {
  const T *gamma, *beta;  // (C)
  const T *mean, *rstd;   // (N, groups)
  int groups;

  NormPointers(const Tensor& gain, const Tensor& bias, const GroupNormStatistics& statistics)
      : gamma(gain.data<T>()),
        beta(bias.data<T>()),
        mean(statistics.mean.data<T>()),
        rstd(statistics.rstd.data<T>()),
        groups(static_cast<int>(statistics.mean.shape()[1])) {}
};

// The part of it that a thread needs: xhat = (x - mean) * rstd, u = gamma * xhat + beta.
template <class T, int kWidth>
struct Norm {
  Packed<T, kWidth> gamma{}, beta{}, mean{}, rstd{};

  __device__ Norm(const NormPointers<T>& from, const ChannelTiles& tiles, const ChannelTile& tile) {
    if (tile.begin >= tile.end) return;
    const int group_size = tiles.channels / from.groups;
    gamma = load_packed<T, kWidth>(from.gamma + tile.channel);
    beta = load_packed<T, kWidth>(from.beta + tile.channel);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const int64_t group = tile.sample * from.groups + (tile.channel + k) / group_size;
      mean.v[k] = from.mean[group];
      rstd.v[k] = from.rstd[group];
    }
  }
};

// mean and m2 (N, chunks, C) of every channel over a chunk of positions. Sums run over x - shift,
// where the shift is the chunk's first element: however far the values lie from zero, the sum of
// squares is at most count + 1 times m2, and its digits are not lost.
template <class T, int kWidth>
__global__ void group_norm_moments_kernel(ChannelTiles tiles, const T* __restrict__ x,
                                          T* __restrict__ mean, T* __restrict__ m2) {
  const ChannelTile tile(tiles, kWidth);
  const T* in = x + tile.offset;
  Packed<T, kWidth> shift{};
  if (tile.begin < tile.end)
    shift = load_packed<T, kWidth>(in + int64_t{tile.first} * tiles.channels);
  T sums[2][kWidth] = {};
#pragma unroll 4
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const auto values = load_packed<T, kWidth>(in + int64_t{p} * tiles.channels);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const T d = values.v[k] - shift.v[k];
      sums[0][k] += d;
      sums[1][k] += d * d;
    }
  }
  sum_block_rows(tiles, sums, [&](int channel, const T(&totals)[2]) {
    const T count = static_cast<T>(tile.end - tile.first), offset = totals[0] / count;
    const int64_t first = (tile.sample * tiles.positions + tile.first) * tiles.channels;
    const int64_t out = int64_t{blockIdx.x} * tiles.channels + channel;
    mean[out] = x[first + channel] + offset;
    const T deviations = totals[1] - totals[0] * offset;
    m2[out] = deviations < T(0) ? T(0) : deviations;  // rounding; NaN stays
  });
}

// mean and rstd (N, groups): one block merges the chunks of each channel of a sample, in order,
// into the place of the first chunk, and then the channels of each group.
template <class T>
__global__ void group_norm_statistics_kernel(ChannelTiles tiles, int groups, T epsilon,
                                             T* channel_mean, T* channel_m2, T* mean, T* rstd) {
  const int channels = tiles.channels, group_size = channels / groups;
  const int64_t sample = blockIdx.x;
  channel_mean += sample * tiles.chunks * channels;
  channel_m2 += sample * tiles.chunks * channels;
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) {
    Moments<T> total{};
    for (int i = 0; i < tiles.chunks; ++i)
      total.merge({static_cast<T>(tiles.chunk_size(i)), channel_mean[i * channels + c],
                   channel_m2[i * channels + c]});
    channel_mean[c] = total.mean;
    channel_m2[c] = total.m2;
  }
  __syncthreads();
  for (int g = static_cast<int>(threadIdx.x); g < groups; g += kThreads) {
    Moments<T> total{};
    for (int c = g * group_size; c < (g + 1) * group_size; ++c)
      total.merge({static_cast<T>(tiles.positions), channel_mean[c], channel_m2[c]});
    mean[sample * groups + g] = total.mean;
    rstd[sample * groups + g] = T(1) / std::sqrt(total.m2 / total.count + epsilon);
  }
}

template <class T, int kWidth>
__global__ void group_norm_forward_kernel(ChannelTiles tiles, NormPointers<T> pointers,
                                          Tail<T> tail, const T* __restrict__ x,
                                          T* __restrict__ y) {
  const ChannelTile tile(tiles, kWidth);
  const Norm<T, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
#pragma unroll 2
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    auto values = load_packed<T, kWidth>(x + tile.offset + place);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const T xhat = (values.v[k] - norm.mean.v[k]) * norm.rstd.v[k];
      const T u = norm.gamma.v[k] * xhat + norm.beta.v[k];
      values.v[k] = tail.silu ? math::Silu{}(u) : u;
    }
    tail.drop(id, static_cast<uint32_t>(place + tile.channel), values);
    store_packed(y + tile.offset + place, values);
  }
}

// du, the gradient by u, and xhat of one pack that comes in as dy and x.
template <class T, int kWidth>
__device__ void differentiate(const Norm<T, kWidth>& norm, const Tail<T>& tail, DrawId id,
                              uint32_t element, Packed<T, kWidth>& dy, Packed<T, kWidth>& x) {
  tail.drop(id, element, dy);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    x.v[k] = (x.v[k] - norm.mean.v[k]) * norm.rstd.v[k];
    if (tail.silu) dy.v[k] = math::SiluGrad{}(norm.gamma.v[k] * x.v[k] + norm.beta.v[k], dy.v[k]);
  }
}

// sum_du and sum_du_xhat (N, chunks, C): sums of du and of du * xhat over a chunk of positions.
template <class T, int kWidth>
__global__ void group_norm_backward_sums_kernel(ChannelTiles tiles, NormPointers<T> pointers,
                                                Tail<T> tail, const T* __restrict__ x,
                                                const T* __restrict__ dy, T* __restrict__ sum_du,
                                                T* __restrict__ sum_du_xhat) {
  const ChannelTile tile(tiles, kWidth);
  const Norm<T, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
  T sums[2][kWidth] = {};
#pragma unroll 2
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    auto xhat = load_packed<T, kWidth>(x + tile.offset + place);
    auto du = load_packed<T, kWidth>(dy + tile.offset + place);
    differentiate(norm, tail, id, static_cast<uint32_t>(place + tile.channel), du, xhat);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      sums[0][k] += du.v[k];
      sums[1][k] += du.v[k] * xhat.v[k];
    }
  }
  sum_block_rows(tiles, sums, [&](int channel, const T(&totals)[2]) {
    const int64_t out = int64_t{blockIdx.x} * tiles.channels + channel;
    sum_du[out] = totals[0];
    sum_du_xhat[out] = totals[1];
  });
}

// One block adds up the chunks of each channel of a sample, into the place of the first chunk, and
// then the channels of each group: the means (N, groups) of gamma du and gamma du xhat.
template <class T>
__global__ void group_norm_backward_means_kernel(ChannelTiles tiles, int groups, const T* gamma,
                                                 T* sum_du, T* sum_du_xhat, T* mean_du,
                                                 T* mean_du_xhat) {
  const int channels = tiles.channels, group_size = channels / groups;
  const int64_t sample = blockIdx.x;
  sum_du += sample * tiles.chunks * channels;
  sum_du_xhat += sample * tiles.chunks * channels;
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) {
    T du = 0, du_xhat = 0;
    for (int i = 0; i < tiles.chunks; ++i) {
      du += sum_du[i * channels + c];
      du_xhat += sum_du_xhat[i * channels + c];
    }
    sum_du[c] = du;
    sum_du_xhat[c] = du_xhat;
  }
  __syncthreads();
  for (int g = static_cast<int>(threadIdx.x); g < groups; g += kThreads) {
    T du = 0, du_xhat = 0;
    for (int c = g * group_size; c < (g + 1) * group_size; ++c) {
      du += gamma[c] * sum_du[c];
      du_xhat += gamma[c] * sum_du_xhat[c];
    }
    const T count = static_cast<T>(tiles.positions) * static_cast<T>(group_size);
    mean_du[sample * groups + g] = du / count;
    mean_du_xhat[sample * groups + g] = du_xhat / count;
  }
}

// dbeta = sum over the samples of sum_du, dgamma of sum_du_xhat. The rows of a block's threads take
// every blockDim.y-th sample and are added in order.
template <class T>
__global__ void group_norm_parameter_grad_kernel(ChannelTiles tiles, const T* sum_du,
                                                 const T* sum_du_xhat, T* dgamma, T* dbeta) {
  const int channel = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  T sums[2][1] = {};
  if (channel < tiles.channels)
    for (int64_t n = threadIdx.y; n < tiles.samples; n += blockDim.y) {
      const int64_t i = n * tiles.chunks * tiles.channels + channel;
      sums[0][0] += sum_du[i];
      sums[1][0] += sum_du_xhat[i];
    }
  sum_block_rows(tiles, sums, [&](int c, const T(&totals)[2]) {
    dbeta[c] = totals[0];
    dgamma[c] = totals[1];
  });
}

// dx = rstd (gamma du - mean_g(gamma du) - xhat mean_g(gamma du xhat))
template <class T, int kWidth>
__global__ void group_norm_backward_kernel(ChannelTiles tiles, NormPointers<T> pointers,
                                           Tail<T> tail, const T* __restrict__ x,
                                           const T* __restrict__ dy, const T* __restrict__ mean_du,
                                           const T* __restrict__ mean_du_xhat, T* __restrict__ dx) {
  const ChannelTile tile(tiles, kWidth);
  const Norm<T, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
  const int group_size = tiles.channels / pointers.groups;
  T mean[kWidth], mean_xhat[kWidth];
#pragma unroll
  for (int k = 0; k < kWidth && tile.begin < tile.end; ++k) {
    const int64_t group = tile.sample * pointers.groups + (tile.channel + k) / group_size;
    mean[k] = mean_du[group];
    mean_xhat[k] = mean_du_xhat[group];
  }
#pragma unroll 2
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    auto xhat = load_packed<T, kWidth>(x + tile.offset + place);
    auto du = load_packed<T, kWidth>(dy + tile.offset + place);
    differentiate(norm, tail, id, static_cast<uint32_t>(place + tile.channel), du, xhat);
#pragma unroll
    for (int k = 0; k < kWidth; ++k)
      du.v[k] = norm.rstd.v[k] * (norm.gamma.v[k] * du.v[k] - mean[k] - xhat.v[k] * mean_xhat[k]);
    store_packed(dx + tile.offset + place, du);
  }
}

// What a block leaves per channel: (N, chunks, C).
Tensor per_chunk(const ChannelTiles& tiles, const Tensor& x) {
  return Tensor::empty({tiles.samples, tiles.chunks, tiles.channels}, x.dtype(), x.device());
}

}  // namespace

void group_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const GroupNormOptions& options, GroupNormStatistics& statistics,
                        Tensor& y) {
  const Shape& s = x.shape();
  DDPM_FLOATS(x.dtype(), T, {
    const auto run = [&](auto width) {
      const ChannelTiles tiles(s[0], s[1] * s[2], s[3], width());
      Tensor mean = per_chunk(tiles, x), m2 = per_chunk(tiles, x);
      launch(group_norm_moments_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
             x.data<T>(), mean.data<T>(), m2.data<T>());
      launch(group_norm_statistics_kernel<T>, s[0], kThreads, 0, tiles, options.groups,
             static_cast<T>(options.epsilon), mean.data<T>(), m2.data<T>(),
             statistics.mean.data<T>(), statistics.rstd.data<T>());
      launch(group_norm_forward_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
             NormPointers<T>(gamma, beta, statistics), Tail<T>(options), x.data<T>(), y.data<T>());
    };
    with_width<T>(s[3], run, x.raw(), gamma.raw(), beta.raw(), y.raw());
  });
}

void group_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                         const GroupNormStatistics& statistics, const GroupNormOptions& options,
                         const Tensor& dy, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  const Shape& s = x.shape();
  Tensor mean_du = Tensor::like(statistics.mean), mean_du_xhat = Tensor::like(statistics.mean);
  DDPM_FLOATS(x.dtype(), T, {
    const NormPointers<T> pointers(gamma, beta, statistics);
    const Tail<T> tail(options);
    const auto run = [&](auto width) {
      const ChannelTiles tiles(s[0], s[1] * s[2], s[3], width());
      Tensor sum_du = per_chunk(tiles, x), sum_du_xhat = per_chunk(tiles, x);
      launch(group_norm_backward_sums_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
             pointers, tail, x.data<T>(), dy.data<T>(), sum_du.data<T>(), sum_du_xhat.data<T>());
      launch(group_norm_backward_means_kernel<T>, s[0], kThreads, 0, tiles, options.groups,
             gamma.data<T>(), sum_du.data<T>(), sum_du_xhat.data<T>(), mean_du.data<T>(),
             mean_du_xhat.data<T>());
      const dim3 per_warp(1, static_cast<unsigned>(ceil_div(s[3], kWarp)));
      launch(group_norm_parameter_grad_kernel<T>, per_warp, dim3(kWarp, kThreads / kWarp), 0, tiles,
             sum_du.data<T>(), sum_du_xhat.data<T>(), dgamma.data<T>(), dbeta.data<T>());
      launch(group_norm_backward_kernel<T, width()>, tiles.grid(), tiles.block(), 0, tiles,
             pointers, tail, x.data<T>(), dy.data<T>(), mean_du.data<T>(), mean_du_xhat.data<T>(),
             dx.data<T>());
    };
    with_width<T>(s[3], run, x.raw(), gamma.raw(), beta.raw(), dy.raw(), dx.raw());
  });
}

}  // namespace ddpm::cuda
