// CUDA kernels of group normalisation. A group's statistics need all positions of its sample, so
// that a pass has three steps: sums per channel and chunk of positions, their totals per group, and
// the elements themselves. On large maps each is a launch, with all blocks in the first and third
// and one block per sample in the second; on small ones a block takes whole groups through all
// three and finds the elements in the L1 cache the second time. What follows the normalisation is
// not kept but computed a second time: backward reads x and dy twice and writes dx once. Forward
// has only the last two steps where convolutions left the moments of what they wrote.
#include <cmath>
#include <numeric>
#include <optional>

#include "framework/ops/group_norm.cuh"
#include "framework/ops/scalar_math.h"

namespace ddpm::cuda {
namespace {

// Step 1 of forward: mean and m2 (N, chunks, C) of every channel over a chunk of positions. Sums
// run over x - shift, where the shift is the chunk's first element: however far the values lie from
// zero, the sum of squares is at most count + 1 times m2, and its digits are not lost.
template <int kWidth, class T, class A>
__device__ void sum_moments(const ChannelTiles& tiles, const ChannelTile& tile, int x_channels,
                            const T* x, const T* skip, A* mean, A* m2) {
  const auto column = [&](int channel) {
    return Column<const T>(tiles, x, skip, x_channels, tile.sample, channel);
  };
  const Column<const T> in = column(tile.channel);
  A shift[kWidth] = {}, sums[2][kWidth] = {};
  if (tile.begin < tile.end) load_values<T, kWidth>(in[tile.first], shift);
#pragma unroll 4
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    A values[kWidth];
    load_values<T, kWidth>(in[p], values);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const A d = values[k] - shift[k];
      sums[0][k] += d;
      sums[1][k] += d * d;
    }
  }
  sum_block_rows(tiles, sums, [&](int channel, const A(&totals)[2]) {
    const A count = static_cast<A>(tile.last - tile.first), offset = totals[0] / count;
    const int64_t out = int64_t{blockIdx.x} * tiles.channels + channel;
    mean[out] = static_cast<A>(*column(channel)[tile.first]) + offset;
    const A deviations = totals[1] - totals[0] * offset;
    m2[out] = deviations < A(0) ? A(0) : deviations;  // rounding; NaN stays
  });
}

// Step 2: the chunks of each channel are merged in order, into the place of the first, and then the
// channels of each group.
template <class T, class A>
__device__ void merge_moments(const ChannelTiles& tiles, const NormPointers<T>& norm,
                              const GroupRange& range, A epsilon, A* channel_mean, A* channel_m2) {
  const int group_size = tiles.channels / norm.groups;
  channel_mean += range.sample * tiles.chunks * tiles.channels;
  channel_m2 += range.sample * tiles.chunks * tiles.channels;
  if (tiles.chunks > 1) {
    for (int c = thread_of_block(); c < tiles.channels; c += threads_of_block()) {
      const auto total = merge<A>(tiles.chunks, [&](int i) {
        const int at = i * tiles.channels + c;
        return Moments<A>{static_cast<A>(tiles.chunk_size(i)), channel_mean[at], channel_m2[at]};
      });
      channel_mean[c] = total.mean;
      channel_m2[c] = total.m2;
    }
    __syncthreads();
  }
  for (int g = range.first + thread_of_block(); g < range.last; g += threads_of_block()) {
    const auto total = merge<A>(group_size, [&](int i) {
      const int c = g * group_size + i;
      return Moments<A>{static_cast<A>(tiles.positions), channel_mean[c], channel_m2[c]};
    });
    norm.mean[range.sample * norm.groups + g] = total.mean;
    norm.rstd[range.sample * norm.groups + g] = A(1) / std::sqrt(total.m2 / total.count + epsilon);
  }
}

// Steps 1 and 2 where convolutions left moments: several threads share the sets of a group, and one
// merges what they have.
template <class T, class A>
__device__ void merge_left_moments(const ChannelTiles& tiles, const NormPointers<T>& norm,
                                   const GroupRange& range, A epsilon, const LeftMoments& left) {
  __shared__ Moments<A> parts[kThreads];
  const int quads = tiles.channels / norm.groups / kQuad;  // of a group
  const int sets = tiles.positions / kChunk * quads;
  const int threads = threads_of_block(), thread = thread_of_block();
  for (int first = range.first; first < range.last; first += threads) {
    const int groups = min(range.last - first, threads), sharing = min(threads / groups, sets);
    const int group = first + thread % groups, part = thread / groups;
    if (part < sharing)
      parts[thread] = merge<A>((sets - part + sharing - 1) / sharing, [&](int i) {
        const int set = part + i * sharing;
        const auto m = left.at(tiles, range.sample, set / quads, group * quads + set % quads);
        return Moments<A>{m.count, m.mean, m.m2};
      });
    __syncthreads();
    if (part == 0) {
      const auto total = merge<A>(sharing, [&](int i) { return parts[i * groups + thread]; });
      norm.mean[range.sample * norm.groups + group] = total.mean;
      norm.rstd[range.sample * norm.groups + group] =
          A(1) / std::sqrt(total.m2 / total.count + epsilon);
    }
    __syncthreads();
  }
}

// Step 3
template <int kWidth, class T, class A>
__device__ void normalize(const ChannelTiles& tiles, const ChannelTile& tile,
                          const NormPointers<T>& pointers, const Tail<A>& tail, const T* x,
                          const T* skip, T* y) {
  const Column<const T> in(tiles, x, skip, pointers.x_channels, tile.sample, tile.channel);
  const Norm<A, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
#pragma unroll 4
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    A values[kWidth];
    load_values<T, kWidth>(in[p], values);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const A u = norm.scale[k] * (values[k] - norm.mean[k]) + norm.beta[k];
      values[k] = tail.silu ? math::Silu{}(u) : u;
    }
    tail.drop(id, static_cast<uint32_t>(place + tile.channel), values);
    store_values<T, kWidth>(y + tile.offset + place, values);
  }
}

template <int kWidth, class T, class A>
__global__ void group_norm_moments_kernel(ChannelTiles tiles, int x_channels,
                                          const T* __restrict__ x, const T* __restrict__ skip,
                                          A* __restrict__ mean, A* __restrict__ m2) {
  sum_moments<kWidth>(tiles, ChannelTile(tiles, kWidth), x_channels, x, skip, mean, m2);
}
template <class T, class A>
__global__ void group_norm_statistics_kernel(ChannelTiles tiles, NormPointers<T> norm, A epsilon,
                                             A* mean, A* m2) {
  merge_moments(tiles, norm, GroupRange(tiles, norm.groups, tiles.channels), epsilon, mean, m2);
}
template <class T, class A>
__global__ void group_norm_left_moments_kernel(ChannelTiles tiles, NormPointers<T> norm, A epsilon,
                                               LeftMoments left) {
  merge_left_moments(tiles, norm, GroupRange(tiles, norm.groups, tiles.channels), epsilon, left);
}
template <int kWidth, class T, class A>
__global__ void group_norm_forward_kernel(ChannelTiles tiles, NormPointers<T> norm, Tail<A> tail,
                                          const T* __restrict__ x, const T* __restrict__ skip,
                                          T* __restrict__ y) {
  normalize<kWidth>(tiles, ChannelTile(tiles, kWidth), norm, tail, x, skip, y);
}
// All three
template <int kWidth, class T, class A>
__global__ void group_norm_small_forward_kernel(ChannelTiles tiles, NormPointers<T> norm,
                                                Tail<A> tail, A epsilon, LeftMoments left,
                                                const T* __restrict__ x, const T* __restrict__ skip,
                                                A* mean, A* m2, T* __restrict__ y) {
  const ChannelTile tile(tiles, kWidth);
  const GroupRange range(tiles, norm.groups, tiles.columns * kWidth);
  if (left.of_x) {
    merge_left_moments(tiles, norm, range, epsilon, left);
  } else {
    sum_moments<kWidth>(tiles, tile, norm.x_channels, x, skip, mean, m2);
    __syncthreads();
    merge_moments(tiles, norm, range, epsilon, mean, m2);
    __syncthreads();
  }
  normalize<kWidth>(tiles, tile, norm, tail, x, skip, y);
}

// du, the gradient by u, and x - mean of some neighbours that come in as dy and x.
template <class A, int kWidth>
__device__ void differentiate(const Norm<A, kWidth>& norm, const Tail<A>& tail, DrawId id,
                              uint32_t element, A (&dy)[kWidth], A (&x)[kWidth]) {
  tail.drop(id, element, dy);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    x[k] -= norm.mean[k];
    if (tail.silu) dy[k] = math::SiluGrad{}(norm.scale[k] * x[k] + norm.beta[k], dy[k]);
  }
}

// Step 1 of backward: sum_du and sum_du_xhat (N, chunks, C), sums of du and of du * xhat over a
// chunk of positions.
template <int kWidth, class T, class A>
__device__ void sum_gradients(const ChannelTiles& tiles, const ChannelTile& tile,
                              const NormPointers<T>& pointers, const Tail<A>& tail, const T* x,
                              const T* skip, const T* dy, A* sum_du, A* sum_du_xhat) {
  const Column<const T> in(tiles, x, skip, pointers.x_channels, tile.sample, tile.channel);
  const Norm<A, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
  A sums[2][kWidth] = {};
#pragma unroll 2
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    A d[kWidth], du[kWidth];
    load_values<T, kWidth>(in[p], d);
    load_values<T, kWidth>(dy + tile.offset + place, du);
    differentiate(norm, tail, id, static_cast<uint32_t>(place + tile.channel), du, d);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      sums[0][k] += du[k];
      sums[1][k] += du[k] * d[k];
    }
  }
  sum_block_rows(tiles, sums, [&](int channel, const A(&totals)[2]) {
    const int group = channel / (tiles.channels / pointers.groups);
    const int64_t out = int64_t{blockIdx.x} * tiles.channels + channel;
    sum_du[out] = totals[0];
    sum_du_xhat[out] = totals[1] * pointers.rstd[tile.sample * pointers.groups + group];
  });
}

// Step 2 adds up the chunks of each channel, into the place of the first, and then the channels of
// each group. What it leaves, constant and slope (N, groups), are those of
//   dx = rstd (gamma du - mean_g(gamma du) - xhat mean_g(gamma du xhat))
//      = scale du + slope (x - mean) + constant
template <class T, class A>
__device__ void merge_gradients(const ChannelTiles& tiles, const NormPointers<T>& norm,
                                const GroupRange& range, A* sum_du, A* sum_du_xhat, A* constant,
                                A* slope) {
  const int group_size = tiles.channels / norm.groups;
  sum_du += range.sample * tiles.chunks * tiles.channels;
  sum_du_xhat += range.sample * tiles.chunks * tiles.channels;
  if (tiles.chunks > 1) {
    for (int c = thread_of_block(); c < tiles.channels; c += threads_of_block()) {
      A du = 0, du_xhat = 0;
      for (int i = 0; i < tiles.chunks; ++i) {
        du += sum_du[i * tiles.channels + c];
        du_xhat += sum_du_xhat[i * tiles.channels + c];
      }
      sum_du[c] = du;
      sum_du_xhat[c] = du_xhat;
    }
    __syncthreads();
  }
  for (int g = range.first + thread_of_block(); g < range.last; g += threads_of_block()) {
    A du = 0, du_xhat = 0;
    for (int c = g * group_size; c < (g + 1) * group_size; ++c) {
      du += norm.gamma[c] * sum_du[c];
      du_xhat += norm.gamma[c] * sum_du_xhat[c];
    }
    const int64_t group = range.sample * norm.groups + g;
    const A rstd = norm.rstd[group];
    const A count = static_cast<A>(tiles.positions) * static_cast<A>(group_size);
    constant[group] = -rstd * du / count;
    slope[group] = -rstd * rstd * du_xhat / count;
  }
}

// Where the gradients of x and skip are written, what is added to each before it is rounded, or
// null, and where the sums of what was written over the positions of each block are left.
template <class T>
struct InputGradients {
  using A = Accumulator<T>;
  T *dx, *dskip;
  const T *x_addend, *skip_addend;
  A *x_sums, *skip_sums;  // (N, chunks, channels of each)

  InputGradients(const NormInput& dinput, const NormInput& addend, const ChannelTiles& tiles)
      : dx(dinput.x.data<T>()),
        dskip(data_or_null<T>(dinput.skip)),
        x_addend(data_or_null<T>(addend.x)),
        skip_addend(data_or_null<T>(addend.skip)),
        x_sums(attach_sums(dinput.x, tiles)),
        skip_sums(dinput.skip ? attach_sums(dinput.skip, tiles) : nullptr) {}

  static A* attach_sums(const Tensor& dx, const ChannelTiles& tiles) {
    Tensor& sums = dx.slot()->position_sums;
    sums = Tensor::empty({tiles.samples, tiles.chunks, dx.shape()[3]}, dtype_of<A>, Device::kCuda);
    return sums.data<A>();
  }
};

// Step 3
template <int kWidth, class T, class A>
__device__ void differentiate_input(const ChannelTiles& tiles, const ChannelTile& tile,
                                    const NormPointers<T>& pointers, const Tail<A>& tail,
                                    const T* x, const T* skip, const T* dy, const A* constant,
                                    const A* slope, const InputGradients<T>& gradients) {
  const auto column = [&]<class Element>(Element* of_x, Element* of_skip) {
    return Column<Element>(tiles, of_x, of_skip, pointers.x_channels, tile.sample, tile.channel);
  };
  const auto in = column(x, skip), more = column(gradients.x_addend, gradients.skip_addend);
  const auto out = column(gradients.dx, gradients.dskip);
  const bool adds = tile.channel < pointers.x_channels ? gradients.x_addend : gradients.skip_addend;
  const Norm<A, kWidth> norm(pointers, tiles, tile);
  const DrawId id = tail.draw_id(tile.sample);
  A add[kWidth] = {}, factor[kWidth] = {};
  load_per_group(tiles, tile, pointers.groups, constant, slope, add, factor);
  A sums[1][kWidth] = {};
#pragma unroll 2
  for (int p = tile.begin; p < tile.end; p += tiles.rows) {
    const int64_t place = int64_t{p} * tiles.channels;
    A d[kWidth], du[kWidth], addend[kWidth] = {};
    load_values<T, kWidth>(in[p], d);
    load_values<T, kWidth>(dy + tile.offset + place, du);
    if (adds) load_values<T, kWidth>(more[p], addend);
    differentiate(norm, tail, id, static_cast<uint32_t>(place + tile.channel), du, d);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      du[k] = norm.scale[k] * du[k] + (factor[k] * d[k] + add[k]) + addend[k];
      sums[0][k] += T(du[k]);
    }
    store_values<T, kWidth>(out[p], du);
  }
  sum_block_rows(tiles, sums, [&](int channel, const A(&totals)[1]) {
    const int x_channels = pointers.x_channels, skip_channels = tiles.channels - x_channels;
    if (channel < x_channels)
      gradients.x_sums[int64_t{blockIdx.x} * x_channels + channel] = totals[0];
    else
      gradients.skip_sums[int64_t{blockIdx.x} * skip_channels + channel - x_channels] = totals[0];
  });
}

// Blocks that share a multiprocessor: registers are left for no more.
template <class A>
inline constexpr int kBlocks = sizeof(A) == 8 ? 1 : 4;

template <int kWidth, class T, class A>
__global__ void group_norm_backward_sums_kernel(ChannelTiles tiles, NormPointers<T> norm,
                                                Tail<A> tail, const T* __restrict__ x,
                                                const T* __restrict__ skip,
                                                const T* __restrict__ dy, A* __restrict__ sum_du,
                                                A* __restrict__ sum_du_xhat) {
  sum_gradients<kWidth>(tiles, ChannelTile(tiles, kWidth), norm, tail, x, skip, dy, sum_du,
                        sum_du_xhat);
}
template <class T, class A>
__global__ void group_norm_backward_groups_kernel(ChannelTiles tiles, NormPointers<T> norm,
                                                  A* sum_du, A* sum_du_xhat, A* constant,
                                                  A* slope) {
  merge_gradients(tiles, norm, GroupRange(tiles, norm.groups, tiles.channels), sum_du, sum_du_xhat,
                  constant, slope);
}
template <int kWidth, class T, class A>
__global__ void group_norm_backward_kernel(ChannelTiles tiles, NormPointers<T> norm, Tail<A> tail,
                                           const T* __restrict__ x, const T* __restrict__ skip,
                                           const T* __restrict__ dy, const A* __restrict__ constant,
                                           const A* __restrict__ slope,
                                           InputGradients<T> gradients) {
  differentiate_input<kWidth>(tiles, ChannelTile(tiles, kWidth), norm, tail, x, skip, dy, constant,
                              slope, gradients);
}
// All three
template <int kWidth, class T, class A>
__global__ void group_norm_small_backward_kernel(ChannelTiles tiles, NormPointers<T> norm,
                                                 Tail<A> tail, const T* __restrict__ x,
                                                 const T* __restrict__ skip,
                                                 const T* __restrict__ dy, A* sum_du,
                                                 A* sum_du_xhat, A* constant, A* slope,
                                                 InputGradients<T> gradients) {
  const ChannelTile tile(tiles, kWidth);
  sum_gradients<kWidth>(tiles, tile, norm, tail, x, skip, dy, sum_du, sum_du_xhat);
  __syncthreads();
  merge_gradients(tiles, norm, GroupRange(tiles, norm.groups, tiles.columns * kWidth), sum_du,
                  sum_du_xhat, constant, slope);
  __syncthreads();
  differentiate_input<kWidth>(tiles, tile, norm, tail, x, skip, dy, constant, slope, gradients);
}

// dbeta = sum over the samples of sum_du, dgamma of sum_du_xhat. The rows of a block's threads take
// every blockDim.y-th sample and are added in order.
template <int kWidth, class A>
__global__ void group_norm_parameter_grad_kernel(ChannelTiles tiles, const A* sum_du,
                                                 const A* sum_du_xhat, A* dgamma, A* dbeta) {
  const int channel = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * kWidth;
  const int64_t stride = int64_t{tiles.chunks} * tiles.channels;
  A sums[2][kWidth] = {};
  if (channel < tiles.channels)
#pragma unroll 4
    for (int64_t n = threadIdx.y; n < tiles.samples; n += blockDim.y) {
      const auto du = load_packed<A, kWidth>(sum_du + n * stride + channel);
      const auto du_xhat = load_packed<A, kWidth>(sum_du_xhat + n * stride + channel);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        sums[0][k] += du.v[k];
        sums[1][k] += du_xhat.v[k];
      }
    }
  sum_block_rows(tiles, sums, [&](int c, const A(&totals)[2]) {
    dbeta[c] = totals[0];
    dgamma[c] = totals[1];
  });
}

// Tiles of about 64 channels and whole groups for maps that one block can take at a time. Which
// maps these are must follow from the shape of a sample alone.
std::optional<ChannelTiles> small_map_tiles(const ChannelTiles& tiles, int groups, int width) {
  constexpr int kMostPositions = 256, kChannels = 64;
  const int unit = std::lcm(tiles.channels / groups, width);
  const int channels = std::min(tiles.channels, std::max(1, kChannels / unit) * unit);
  if (tiles.positions > kMostPositions || channels / width > ChannelTiles::kMaxColumns) return {};
  return tiles.in_one_chunk(channels / width, width);
}

// body(std::integral_constant<int, width>, tiles, whether blocks have whole groups)
template <class T, class Body, class... Addresses>
void with_tiles(const NormInput& input, int groups, Body body, const Addresses*... addresses) {
  const Shape& s = input.x.shape();
  const auto run = [&](auto width) {
    const ChannelTiles tiles(s[0], s[1] * s[2], input.channels(), width());
    if (const auto small = small_map_tiles(tiles, groups, width()))
      body(width, *small, true);
    else
      body(width, tiles, false);
  };
  // Four channels a thread: twice as many, as packs of bf16 would have, leave registers for half as
  // many threads.
  constexpr int kWidth = 4;
  if (std::gcd(s[3], input.skip_channels()) % kWidth == 0 && (is_packable(addresses) && ...))
    run(std::integral_constant<int, kWidth>{});
  else
    run(std::integral_constant<int, 1>{});
}

// What a block leaves per channel: (N, chunks, C).
template <class A>
Tensor per_chunk(const ChannelTiles& tiles) {
  return Tensor::empty({tiles.samples, tiles.chunks, tiles.channels}, dtype_of<A>, Device::kCuda);
}

}  // namespace

void group_norm_forward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                        const GroupNormOptions& options, GroupNormStatistics& statistics,
                        Tensor& y) {
  if (y.numel() == 0) return;
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    using A = Accumulator<T>;
    const NormPointers<T> norm(input, gamma, beta, statistics);
    const Tail<A> tail(options);
    const A epsilon = static_cast<A>(options.epsilon);
    const T *x = input.x.data<T>(), *skip = data_or_null<T>(input.skip);
    const LeftMoments left(input, options.groups);
    const auto run = [&](auto width, const ChannelTiles& tiles, bool is_small) {
      Tensor mean = per_chunk<A>(tiles), m2 = per_chunk<A>(tiles);
      if (is_small)
        return launch(group_norm_small_forward_kernel<width(), T, A>, tiles.grid(), tiles.block(),
                      0, tiles, norm, tail, epsilon, left, x, skip, mean.data<A>(), m2.data<A>(),
                      y.data<T>());
      if (left.of_x) {
        launch(group_norm_left_moments_kernel<T, A>, tiles.samples, kThreads, 0, tiles, norm,
               epsilon, left);
      } else {
        launch(group_norm_moments_kernel<width(), T, A>, tiles.grid(), tiles.block(), 0, tiles,
               norm.x_channels, x, skip, mean.data<A>(), m2.data<A>());
        launch(group_norm_statistics_kernel<T, A>, tiles.samples, kThreads, 0, tiles, norm, epsilon,
               mean.data<A>(), m2.data<A>());
      }
      launch(group_norm_forward_kernel<width(), T, A>, tiles.grid(), tiles.block(), 0, tiles, norm,
             tail, x, skip, y.data<T>());
    };
    with_tiles<T>(input, options.groups, run, x, skip, norm.gamma, norm.beta, y.data<T>());
  });
}

void group_norm_backward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                         const GroupNormStatistics& statistics, const GroupNormOptions& options,
                         const Tensor& dy, const NormInput& addend, NormInput& dinput,
                         Tensor& dgamma, Tensor& dbeta) {
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    using A = Accumulator<T>;
    const NormPointers<T> norm(input, gamma, beta, statistics);
    const Tail<A> tail(options);
    const T *x = input.x.data<T>(), *skip = data_or_null<T>(input.skip), *dout = dy.data<T>();
    T *dx = dinput.x.data<T>(), *dskip = data_or_null<T>(dinput.skip);
    const Tensor constants = Tensor::like(statistics.mean), slopes = Tensor::like(statistics.mean);
    A *constant = constants.data<A>(), *slope = slopes.data<A>();
    const auto run = [&](auto width, const ChannelTiles& tiles, bool is_small) {
      const Tensor sums = per_chunk<A>(tiles), sums_xhat = per_chunk<A>(tiles);
      A *sum_du = sums.data<A>(), *sum_du_xhat = sums_xhat.data<A>();
      const InputGradients<T> gradients(dinput, addend, tiles);
      if (is_small) {
        launch(group_norm_small_backward_kernel<width(), T, A>, tiles.grid(), tiles.block(), 0,
               tiles, norm, tail, x, skip, dout, sum_du, sum_du_xhat, constant, slope, gradients);
      } else {
        launch(group_norm_backward_sums_kernel<width(), T, A>, tiles.grid(), tiles.block(), 0,
               tiles, norm, tail, x, skip, dout, sum_du, sum_du_xhat);
        launch(group_norm_backward_groups_kernel<T, A>, tiles.samples, kThreads, 0, tiles, norm,
               sum_du, sum_du_xhat, constant, slope);
        launch(group_norm_backward_kernel<width(), T, A>, tiles.grid(), tiles.block(), 0, tiles,
               norm, tail, x, skip, dout, constant, slope, gradients);
      }
      constexpr int kColumns = 8;  // few, so that many rows of threads share the samples
      const dim3 grid(1, static_cast<unsigned>(ceil_div(tiles.channels, kColumns * width())));
      launch(group_norm_parameter_grad_kernel<width(), A>, grid,
             dim3(kColumns, kThreads / kColumns), 0, tiles, sum_du, sum_du_xhat, dgamma.data<A>(),
             dbeta.data<A>());
    };
    with_tiles<T>(input, options.groups, run, x, skip, norm.gamma, norm.beta, dout, dx, dskip,
                  data_or_null<T>(addend.x), data_or_null<T>(addend.skip));
  });
}

}  // namespace ddpm::cuda
