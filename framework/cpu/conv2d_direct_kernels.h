// The body of conv2d_direct_avx512.cpp and conv2d_direct_avx2.cpp, which include it under their own
// `#pragma GCC target` after every other header: what is defined here may use the instruction set,
// what comes from elsewhere may not, or a generic binary would no longer run everywhere. `Isa`
// names the vector type, its width and how many vectors of accumulators a row of the tile has.

namespace ddpm::cpu {
namespace {

constexpr int kRows = 6;  // of a register tile; 6 x 4 AVX-512 or 6 x 2 AVX2 accumulators

// The order in which tiles and blocks walk the output sites of all images. Small images and small
// batches are walked site by site through the batch: the pixels of a tile then lie at the same
// place, and a tap that falls into the padding there is left out (31 % of the work at 4x4, 8 % at
// 16x16, 4 % at 32x32). Large ones go image after image, so that neighbouring sites share what they
// read.
struct SiteOrder {
  int64_t images, pixels;
  bool batch_first;

  SiteOrder(int64_t image_count, int64_t pixels_per_image)
      : images(image_count), pixels(pixels_per_image) {
    batch_first = images >= kRows && (pixels <= 256 || count() <= 16384);
  }
  int64_t count() const { return images * pixels; }
  int64_t image(int64_t m) const { return batch_first ? m % images : m / pixels; }
  int64_t site(int64_t m) const { return batch_first ? m / images : m % pixels; }
};

// One tap of a tile: its index in the kernel, and the channels that each pixel reads through it.
struct Tap {
  int64_t index;
  const float* rows[kRows];
};

// Where the result of a tile goes: the first `rows` pixels, `columns` channels of each; and what is
// added there, or null.
struct TileOutput {
  float* pixels[kRows];
  const float *per_sample[kRows], *residual[kRows];
  int rows;
};

// out = bias + sum over taps and channels of in * weight, for V vectors of output channels.
template <class Isa, int V>
void convolve_tile(const Tap* taps, int64_t tap_count, int64_t channels, const float* weights,
                   const float* bias, const TileOutput& out, int64_t first, int64_t columns) {
  typename Isa::Vector sum[kRows][V];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[i][v] = Isa::load(bias + v * Isa::kLanes);
  for (const Tap* tap = taps; tap < taps + tap_count; ++tap) {
    const float *x0 = tap->rows[0], *x1 = tap->rows[1], *x2 = tap->rows[2];
    const float *x3 = tap->rows[3], *x4 = tap->rows[4], *x5 = tap->rows[5];
    const float* w = weights + tap->index * channels * V * Isa::kLanes;
    for (int64_t c = 0; c < channels; ++c, w += V * Isa::kLanes) {
      typename Isa::Vector b[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        b[v] = Isa::load(w + v * Isa::kLanes);
        __builtin_prefetch(w + (8 * V + v) * Isa::kLanes, 0, 3);
      }
      const float* x[kRows] = {x0 + c, x1 + c, x2 + c, x3 + c, x4 + c, x5 + c};
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const typename Isa::Vector a = Isa::broadcast(x[i]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[i][v] = Isa::multiply_add(a, b[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    if (i >= out.rows) break;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t place = first + v * Isa::kLanes, lanes = columns - v * Isa::kLanes;
      typename Isa::Vector y = sum[i][v];
      if (out.per_sample[i]) y = Isa::add(y, Isa::load(out.per_sample[i] + place, lanes));
      if (out.residual[i]) y = Isa::add(y, Isa::load(out.residual[i] + place, lanes));
      Isa::store(out.pixels[i] + place, lanes, y);
    }
  }
}

// Pixels begin .. begin + count - 1 of a block.
struct Run {
  int64_t begin, count;
};

// dweight[k, c] (+)= sum over the runs of dy[pixel, k] * x[pixel, c], for up to R of a tile's 6 k
// and V vectors of c. dy is packed (pixel of the block, 6), x (pixel of the runs, V * lanes); rows
// of dweight are `stride` apart.
template <class Isa, int R, int V>
void accumulate_tile(const float* dy, const float* x, const Run* runs, int64_t run_count,
                     bool is_first, float* dweight, int64_t stride, int rows, int64_t columns) {
  typename Isa::Vector sum[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sum[i][v] = is_first || i >= rows ? Isa::zero()
                                        : Isa::load(dweight + i * stride + v * Isa::kLanes,
                                                    columns - v * Isa::kLanes);
  for (const Run* run = runs; run < runs + run_count; ++run) {
    const float* row = dy + run->begin * kRows;
    for (int64_t m = 0; m < run->count; ++m, row += kRows, x += V * Isa::kLanes) {
      typename Isa::Vector b[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) b[v] = Isa::load(x + v * Isa::kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) {
        const typename Isa::Vector a = Isa::broadcast(row + i);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[i][v] = Isa::multiply_add(a, b[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) {
    if (i >= rows) break;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      Isa::store(dweight + i * stride + v * Isa::kLanes, columns - v * Isa::kLanes, sum[i][v]);
  }
}

// body(std::integral_constant<int, V>) for the number of vectors that hold `columns` channels.
template <class Isa, class Body>
void with_vectors(int64_t columns, const Body& body) {
  switch (divide_up(columns, Isa::kLanes)) {
    case 1: return body(std::integral_constant<int, 1>());
    case 2: return body(std::integral_constant<int, 2>());
    case 3: return body(std::integral_constant<int, std::min(3, Isa::kVectors)>());
    default: return body(std::integral_constant<int, Isa::kVectors>());
  }
}

// (panel, tap, in channel, column of the panel), padded columns zero.
template <class Isa>
Tensor pack_weights(const GatherConv& g) {
  const Panels<Isa> panels{g.out_channels};
  Tensor packed =
      Tensor::empty({g.taps * g.in_channels * panels.padded()}, DType::kF32, Device::kCpu);
  const float* weight = g.weight.data<float>();
  float* out = packed.data<float>();
  parallel_for(panels.count() * g.taps, [&](int64_t piece) {
    const int64_t panel = piece / g.taps, tap = piece % g.taps;
    const int64_t columns = panels.columns(panel), width = panels.padded_columns(panel);
    const float* from = weight + tap * g.tap_stride + panel * panels.kWidth * g.out_stride;
    float* to = out + g.taps * g.in_channels * panel * panels.kWidth + tap * g.in_channels * width;
    if (columns < width) std::fill_n(to, g.in_channels * width, 0.0f);
    if (g.out_stride == 1) {
      for (int64_t i = 0; i < g.in_channels; ++i)
        std::copy_n(from + i * g.in_stride, columns, to + i * width);
    } else {
      constexpr int64_t kLine = 16;  // a cache line of the source at a time
      for (int64_t begin = 0; begin < g.in_channels; begin += kLine) {
        const int64_t end = std::min(begin + kLine, g.in_channels);
        for (int64_t o = 0; o < columns; ++o)
          for (int64_t i = begin; i < end; ++i) to[i * width + o] = from[i + o * g.out_stride];
      }
    }
  });
  return packed;
}

// The taps of the tile at sites begin .. begin + 5 that read at least one pixel; returns how many.
int64_t list_taps(const GatherConv& g, int64_t begin, const float* zeros, Tap* taps,
                  TileOutput& out) {
  const float* in = g.in.data<float>();
  const int32_t *source = g.source.data<int32_t>(), *pixel = g.pixel.data<int32_t>();
  const SiteOrder order(g.images, g.out_pixels);
  const float* images[kRows];
  int64_t sites[kRows];
  out.rows = static_cast<int>(std::min<int64_t>(kRows, order.count() - begin));
  for (int i = 0; i < out.rows; ++i) {
    const int64_t image = order.image(begin + i);
    sites[i] = order.site(begin + i);
    images[i] = in + image * g.in_pixels * g.in_channels;
    const int64_t place = (image * g.out_pixels + pixel[sites[i]]) * g.out_channels;
    out.pixels[i] = g.out.data<float>() + place;
    out.residual[i] = g.residual ? g.residual.data<float>() + place : nullptr;
    out.per_sample[i] =
        g.per_sample ? g.per_sample.data<float>() + image * g.out_channels : nullptr;
  }
  int64_t count = 0;
  for (int64_t tap = 0; tap < g.taps; ++tap) {
    bool reads = false;
    for (int i = 0; i < kRows; ++i) {
      const int32_t from = i < out.rows ? source[tap * g.out_pixels + sites[i]] : -1;
      taps[count].rows[i] = from < 0 ? zeros : images[i] + from * g.in_channels;
      reads |= from >= 0;
    }
    taps[count].index = tap;
    count += reads;
  }
  return count;
}

template <class Isa>
void run_gather(const GatherConv& g) {
  const Panels<Isa> panels{g.out_channels};
  const Tensor packed = pack_weights<Isa>(g);
  const Tensor zeros = Tensor::zeros({g.in_channels}, DType::kF32, Device::kCpu);
  const Tensor bias = Tensor::zeros({panels.padded()}, DType::kF32, Device::kCpu);
  if (g.bias) std::copy_n(g.bias.data<float>(), g.out_channels, bias.data<float>());

  // The tiles of a piece share a panel of weights in the cache; few tiles share out the panels.
  constexpr int64_t kTiles = 16;
  const int64_t tiles = divide_up(g.images * g.out_pixels, kRows);
  const int64_t blocks = divide_up(tiles, kTiles);
  const int64_t groups = blocks < 16 ? panels.count() : 1;
  parallel_for_scratch<Tap>(blocks * groups, kTiles * g.taps, [&](int64_t piece, Tap* taps) {
    const int64_t first_tile = piece / groups * kTiles;
    const int64_t tile_count = std::min(kTiles, tiles - first_tile);
    TileOutput outputs[kTiles];
    int64_t tap_counts[kTiles];
    for (int64_t t = 0; t < tile_count; ++t)
      tap_counts[t] = list_taps(g, (first_tile + t) * kRows, zeros.data<float>(), taps + t * g.taps,
                                outputs[t]);
    const int64_t begin = groups > 1 ? piece % groups : 0;
    const int64_t end = groups > 1 ? begin + 1 : panels.count();
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * panels.kWidth;
      const float* weights = packed.data<float>() + g.taps * g.in_channels * first;
      with_vectors<Isa>(panels.columns(panel), [&](auto vectors) {
        for (int64_t t = 0; t < tile_count; ++t)
          convolve_tile<Isa, vectors()>(taps + t * g.taps, tap_counts[t], g.in_channels, weights,
                                        bias.data<float>() + first, outputs[t], first,
                                        panels.columns(panel));
      });
    }
  });
}

// (tile of 6 channels, pixel, channel of the tile) for sites begin .. begin + count - 1 of dy,
// padded channels zero.
void pack_gradient(const float* dy, const SiteOrder& order, int64_t begin, int64_t count,
                   int64_t channels, float* packed) {
  const int64_t whole = channels / kRows * kRows;
  for (int64_t m = 0; m < count; ++m) {
    const float* pixel =
        dy + (order.image(begin + m) * order.pixels + order.site(begin + m)) * channels;
    float* to = packed + m * kRows;
    for (int64_t k = 0; k < whole; k += kRows, to += count * kRows)
      std::memcpy(to, pixel + k, kRows * sizeof(float));
    for (int64_t i = 0; whole < channels && i < kRows; ++i)
      to[i] = whole + i < channels ? pixel[whole + i] : 0;
  }
}

// The pixels of x that one tap reads at sites begin .. begin + count - 1, as (site, V vectors).
// Padding is left out where it comes in runs, and zero otherwise; returns the number of runs.
template <class Isa, int V>
int64_t gather_pixels(const float* x, const Conv2dProblem& p, const SiteOrder& order,
                      const int32_t* source, int64_t begin, int64_t count, int64_t columns,
                      float* rows, Run* runs) {
  int64_t run_count = 0;
  bool is_open = false;  // the last run ends at the pixel before this one
  for (int64_t m = 0; m < count; ++m) {
    const int32_t from = source[order.site(begin + m)];
    if (from < 0 && order.batch_first) {
      is_open = false;
      continue;
    }
    if (!is_open) runs[run_count++] = {m, 0};
    is_open = true;
    ++runs[run_count - 1].count;
    const int64_t pixel = order.image(begin + m) * p.in_pixels() + std::max(from, 0);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t lanes = from < 0 ? 0 : columns - v * Isa::kLanes;
      Isa::store(rows + v * Isa::kLanes,
                 Isa::load(x + pixel * p.in_channels + v * Isa::kLanes, lanes));
    }
    rows += V * Isa::kLanes;
  }
  return run_count;
}

// A piece owns one tap of a panel of input channels and walks all images in order: nothing has to
// be merged, and the sum does not depend on the thread count.
template <class Isa>
void run_backward_weight(const Conv2dProblem& p, const Conv2dOperands& operands) {
  constexpr int64_t kPixels = 128;     // of a block: its panel of x stays in the L1 cache
  constexpr int64_t kChunk = 1 << 16;  // elements of dy packed at a time: they stay in the L2 cache
  const Panels<Isa> panels{p.in_channels};
  const int64_t block_size = divide_up(p.out_channels, kRows) * kRows * kPixels;
  const SiteOrder order(p.images, p.out_pixels());
  const int64_t blocks = divide_up(order.count(), kPixels);
  const int64_t chunk = std::min(blocks, std::max<int64_t>(1, kChunk / block_size));
  const int64_t stride = p.taps() * p.in_channels;  // of dweight
  const Tensor sources = forward_sources(p);
  const Tensor packed = Tensor::empty({chunk, block_size}, DType::kF32, Device::kCpu);
  const float *x = operands.x.data<float>(), *dy = operands.y.data<float>();
  float* dweight = operands.weight.data<float>();
  if (order.count() == 0) std::fill_n(dweight, operands.weight.numel(), 0.0f);

  for (int64_t first_block = 0; first_block < blocks; first_block += chunk) {
    const int64_t last_block = std::min(blocks, first_block + chunk);
    const auto packed_block = [&](int64_t block) {
      return packed.data<float>() + (block - first_block) * block_size;
    };
    const auto pixels_of = [&](int64_t block) {
      return std::min(kPixels, order.count() - block * kPixels);
    };
    parallel_for(last_block - first_block, [&](int64_t i) {
      const int64_t block = first_block + i;
      pack_gradient(dy, order, block * kPixels, pixels_of(block), p.out_channels,
                    packed_block(block));
    });
    const int64_t pieces = p.taps() * panels.count();
    parallel_for_scratch<float>(pieces, kPixels * panels.kWidth, [&](int64_t piece, float* rows) {
      const int64_t panel = piece / p.taps(), tap = piece % p.taps();
      const int64_t first = panel * panels.kWidth, columns = panels.columns(panel);
      const int32_t* source = sources.data<int32_t>() + tap * p.out_pixels();
      for (int64_t block = first_block; block < last_block; ++block) {
        const int64_t pixels = pixels_of(block);
        with_vectors<Isa>(columns, [&](auto vectors) {
          Run runs[kPixels];
          const int64_t run_count = gather_pixels<Isa, vectors()>(
              x + first, p, order, source, block * kPixels, pixels, columns, rows, runs);
          for (int64_t k = 0; k < p.out_channels; k += kRows) {
            const int k_rows = static_cast<int>(std::min<int64_t>(kRows, p.out_channels - k));
            const auto accumulate = k_rows > 4   ? accumulate_tile<Isa, kRows, vectors()>
                                    : k_rows > 2 ? accumulate_tile<Isa, 4, vectors()>
                                                 : accumulate_tile<Isa, 2, vectors()>;
            accumulate(packed_block(block) + k * pixels, rows, runs, run_count, block == 0,
                       dweight + k * stride + tap * p.in_channels + first, stride, k_rows, columns);
          }
        });
      }
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu
