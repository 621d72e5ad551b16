// Winograd's forward pass and data gradient for any vector type, compiled as
// conv2d_winograd_kernels.h is.
//
// Many tiles: a piece of work transforms a block of tiles into memory of its own, (point, tile,
// channel), and takes one panel of output channels after the other through the products and back;
// all of it stays in the L2 cache or near it. Few tiles: the three steps are parallel one after the
// other, the products over points and panels, so that there are pieces for all threads and the
// weights are read once.

#include "framework/cpu/conv2d_winograd_kernels.h"

namespace ddpm::cpu {
namespace {

struct WinogradConv {
  WinogradTiles tiles;
  WindowedImages in;
  int64_t out_height, out_width, out_channels;
  const float* weight;
  // weight[tap, i, o] lies at tap * tap_stride + i * in_stride + o * out_stride.
  int64_t tap_stride, in_stride, out_stride;
  bool is_turned;  // taps in reverse order
  float* out;
  const float *bias, *per_sample, *residual;  // null where there is none
};

WinogradConv winograd_conv(Conv2dPass pass, const Conv2dProblem& p, const Conv2dOperands& o) {
  const auto values = [](const Tensor& t) { return t ? t.data<float>() : nullptr; };
  const int64_t row = p.taps() * p.in_channels;  // of one output channel in weight
  WinogradConv c{};
  c.weight = o.weight.data<float>();
  c.tap_stride = p.in_channels;
  c.bias = values(o.bias);
  if (pass == Conv2dPass::kForward) {
    c.tiles = winograd_tiles(p.images, p.out_height, p.out_width);
    c.in = {values(o.x), p.in_height, p.in_width, p.in_channels, p.pad_top, p.pad_left};
    c.out_height = p.out_height, c.out_width = p.out_width, c.out_channels = p.out_channels;
    c.in_stride = 1, c.out_stride = row;
    c.out = values(o.y), c.per_sample = values(o.per_sample), c.residual = values(o.residual);
  } else {
    c.tiles = winograd_tiles(p.images, p.in_height, p.in_width);
    c.in = {values(o.y),    p.out_height,          p.out_width,
            p.out_channels, kTaps - 1 - p.pad_top, kTaps - 1 - p.pad_left};
    c.out_height = p.in_height, c.out_width = p.in_width, c.out_channels = p.in_channels;
    c.in_stride = row, c.out_stride = 1, c.is_turned = true;
    c.out = values(o.x);
  }
  return c;
}

// Between the weights of two points; those of one are (panel, in channel, column of the panel).
template <class Isa>
int64_t weight_stride(const WinogradConv& c) {
  return odd_lines(c.in.channels * Panels<Isa>{c.out_channels}.padded());
}

// Weights of `count` input channels from `first` on and one panel, as (tap, channel, column),
// padded columns zero.
template <class Isa>
void gather_weights(const WinogradConv& c, int64_t panel, int64_t first, int64_t count, float* to) {
  const Panels<Isa> panels{c.out_channels};
  const int64_t columns = panels.columns(panel), width = panels.padded_columns(panel);
  for (int64_t tap = 0; tap < kTaps * kTaps; ++tap, to += count * width) {
    const int64_t from_tap = c.is_turned ? kTaps * kTaps - 1 - tap : tap;
    const float* from = c.weight + from_tap * c.tap_stride + first * c.in_stride +
                        panel * panels.kWidth * c.out_stride;
    if (columns < width) std::fill_n(to, count * width, 0.0f);
    if (c.out_stride == 1)
      for (int64_t i = 0; i < count; ++i)
        std::copy_n(from + i * c.in_stride, columns, to + i * width);
    else
      for (int64_t k = 0; k < columns; ++k)
        for (int64_t i = 0; i < count; ++i) to[i * width + k] = from[k * c.out_stride + i];
  }
}

template <class Isa>
Tensor transform_weights(const WinogradConv& c) {
  constexpr int64_t kChannels = 16;  // a cache line of the weights
  const Panels<Isa> panels{c.out_channels};
  const int64_t stride = weight_stride<Isa>(c), channels = c.in.channels;
  const int64_t chunks = divide_up(channels, kChannels);
  Tensor transformed = Tensor::empty({kPoints * stride}, DType::kF32, Device::kCpu);
  float* const out = transformed.data<float>();
  const int64_t elements = kTaps * kTaps * kChannels * panels.kWidth;
  parallel_for_scratch<float>(chunks * panels.count(), elements, [&](int64_t piece, float* taps) {
    const int64_t panel = piece / chunks, first = piece % chunks * kChannels;
    const int64_t count = std::min(kChannels, channels - first);
    const int64_t width = panels.padded_columns(panel);
    gather_weights<Isa>(c, panel, first, count, taps);
    float* const to = out + panel * panels.kWidth * channels + first * width;
    for (int64_t place = 0; place < count * width; place += Isa::kLanes)
      transform<Isa, WeightLine>(
          [&](int tap) { return Isa::load(taps + tap * count * width + place); },
          [&](int point, typename Isa::Vector v) { Isa::store(to + point * stride + place, v); });
  });
  return transformed;
}

// A matrix (tile, channel) for each point.
struct PointMatrices {
  float* data;
  int64_t row_stride, point_stride;

  static int64_t row_stride_of(int64_t channels) { return odd_lines(channels); }
  static int64_t point_stride_of(int64_t tiles, int64_t channels) {
    return tiles * row_stride_of(channels) + 16;
  }
  PointMatrices(float* memory, int64_t tiles, int64_t channels)
      : data(memory),
        row_stride(row_stride_of(channels)),
        point_stride(point_stride_of(tiles, channels)) {}
  float* row(int64_t point, int64_t tile) const {
    return data + point * point_stride + tile * row_stride;
  }
};

// Windows of kFrom x kFrom pixels of tiles range.begin .. to rows first .. of `to`.
template <class Isa, class Line>
void transform_windows(const WinogradTiles& tiles, const WindowedImages& in, TileRange range,
                       const float* zeros, const PointMatrices& to, int64_t first_row) {
  const float* window[Line::kFrom * Line::kFrom];
  for (int64_t t = 0; t < range.count; ++t) {
    locate_window(tiles, in, range.begin + t, Line::kFrom, zeros, window);
    transform_pixels<Isa, Line>(window, in.channels, to.row(0, first_row + t), to.point_stride);
  }
}

// The products of one point and panel for rows 0 .. count - 1, from column out_first of `out` on.
template <class Isa>
void multiply_panel(const WinogradConv& c, const float* weights, int64_t point, int64_t panel,
                    int64_t count, const PointMatrices& in, const PointMatrices& out,
                    int64_t out_first) {
  const Panels<Isa> panels{c.out_channels};
  const int64_t first = panel * panels.kWidth;
  const float* panel_weights = weights + point * weight_stride<Isa>(c) + first * c.in.channels;
  with_constant<Isa::kVectors>(panels.padded_columns(panel) / Isa::kLanes, [&](auto vectors) {
    // Those of the next point, on their way while these are in use.
    const float* ahead = panel_weights + weight_stride<Isa>(c);
    const int64_t ahead_step = divide_up(vectors() * Isa::kLanes * kRows, count);
    for (int64_t t = 0; t < count; t += kRows, ahead += ahead_step * c.in.channels)
      with_constant<kRows>(count - t, [&](auto rows) {
        multiply_tile<Isa, rows(), vectors()>(in.row(point, t), in.row_stride, c.in.channels,
                                              panel_weights, ahead, ahead_step,
                                              out.row(point, t) + out_first, out.row_stride);
      });
  });
}

// Transforms rows first_row .. of `from`, which holds channels `begin` .. end - 1, back, adds what
// is added, and writes the pixels of tiles range.begin .. that exist. `bias` is padded with zeros.
template <class Isa>
void write_tiles(const WinogradConv& c, TileRange range, const PointMatrices& from,
                 int64_t first_row, int64_t begin, int64_t end, const float* bias) {
  using Vector = typename Isa::Vector;
  for (int64_t t = 0; t < range.count; ++t) {
    const int64_t tile = range.begin + t;
    const int64_t image = tile / (c.tiles.columns * c.tiles.rows);
    const int64_t top = tile / c.tiles.columns % c.tiles.rows * kOutputs;
    const int64_t left = tile % c.tiles.columns * kOutputs;
    const int64_t height = std::min<int64_t>(kOutputs, c.out_height - top);
    const int64_t width = std::min<int64_t>(kOutputs, c.out_width - left);
    const int64_t place = ((image * c.out_height + top) * c.out_width + left) * c.out_channels;
    const float* sums = from.row(0, first_row + t);
    for (int64_t k = begin; k < end; k += Isa::kLanes) {
      const int64_t lanes = c.out_channels - k;
      Vector y[kOutputs * kOutputs];
      transform<Isa, OutputLine>(
          [&](int i) { return Isa::load(sums + i * from.point_stride + k - begin); },
          [&](int i, Vector v) { y[i] = v; });
      const Vector added = Isa::load(bias + k);
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const int64_t pixel = place + (i * c.out_width + j) * c.out_channels + k;
          Vector sum = Isa::add(y[i * kOutputs + j], added);
          if (c.per_sample)
            sum = Isa::add(sum, Isa::load(c.per_sample + image * c.out_channels + k, lanes));
          if (c.residual) sum = Isa::add(sum, Isa::load(c.residual + pixel, lanes));
          Isa::store(c.out + pixel, lanes, sum);
        }
    }
  }
}

// Tiles of a block: enough to pay for reading all weights from the L3 cache, fewer where there
// would be too few blocks.
int64_t block_tiles(int64_t tiles) {
  constexpr int64_t kLeast = 36, kMost = 66, kBlocks = 8;
  return std::clamp(divide_up(divide_up(tiles, kBlocks), kRows) * kRows, kLeast, kMost);
}
// Up to so many, there are pieces of points and panels.
constexpr int64_t kFewTiles = 144;

template <class Isa>
void run_blocks(const WinogradConv& c, const float* weights, const float* zeros,
                const float* bias) {
  const int64_t block_size = block_tiles(c.tiles.count());
  const int64_t in_size = kPoints * PointMatrices::point_stride_of(block_size, c.in.channels);
  const int64_t out_size =
      kPoints * PointMatrices::point_stride_of(block_size, Panels<Isa>::kWidth);
  const Panels<Isa> panels{c.out_channels};
  const int64_t blocks = divide_up(c.tiles.count(), block_size);
  parallel_for_scratch<float>(blocks, in_size + out_size, [&](int64_t block, float* memory) {
    const PointMatrices in(memory, block_size, c.in.channels);
    const PointMatrices out(memory + in_size, block_size, Panels<Isa>::kWidth);
    const int64_t begin = block * block_size;
    const TileRange range{begin, std::min(block_size, c.tiles.count() - begin)};
    transform_windows<Isa, InputLine>(c.tiles, c.in, range, zeros, in, 0);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      for (int64_t point = 0; point < kPoints; ++point)
        multiply_panel<Isa>(c, weights, point, panel, range.count, in, out, 0);
      const int64_t first = panel * panels.kWidth;
      write_tiles<Isa>(c, range, out, 0, first, first + panels.columns(panel), bias);
    }
  });
}

template <class Isa>
void run_steps(const WinogradConv& c, const float* weights, const float* zeros, const float* bias) {
  constexpr int64_t kGrain = 4;  // tiles
  const int64_t tiles = c.tiles.count();
  const int64_t in_size = kPoints * PointMatrices::point_stride_of(tiles, c.in.channels);
  const int64_t out_size = kPoints * PointMatrices::point_stride_of(tiles, c.out_channels);
  const Tensor memory = Tensor::empty({in_size + out_size}, DType::kF32, Device::kCpu);
  const PointMatrices in(memory.data<float>(), tiles, c.in.channels);
  const PointMatrices out(memory.data<float>() + in_size, tiles, c.out_channels);
  const int64_t panels = Panels<Isa>{c.out_channels}.count();
  parallel_ranges(tiles, kGrain, [&](int64_t begin, int64_t end) {
    transform_windows<Isa, InputLine>(c.tiles, c.in, {begin, end - begin}, zeros, in, begin);
  });
  parallel_for(kPoints * panels, [&](int64_t piece) {
    multiply_panel<Isa>(c, weights, piece / panels, piece % panels, tiles, in, out,
                        piece % panels * Panels<Isa>::kWidth);
  });
  parallel_ranges(tiles, kGrain, [&](int64_t begin, int64_t end) {
    write_tiles<Isa>(c, {begin, end - begin}, out, begin, 0, c.out_channels, bias);
  });
}

template <class Isa>
void run_winograd(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands) {
  const WinogradConv c = winograd_conv(pass, problem, operands);
  if (c.tiles.count() == 0) return;
  const Tensor weights = kept_weights(operands.weight, std::pair(pass, Isa::kLanes),
                                      [&] { return transform_weights<Isa>(c); });
  const Tensor zeros = Tensor::zeros({c.in.channels}, DType::kF32, Device::kCpu);
  const Tensor bias =
      Tensor::zeros({Panels<Isa>{c.out_channels}.padded()}, DType::kF32, Device::kCpu);
  if (c.bias) std::copy_n(c.bias, c.out_channels, bias.data<float>());
  const auto run = c.tiles.count() <= kFewTiles ? run_steps<Isa> : run_blocks<Isa>;
  run(c, weights.data<float>(), zeros.data<float>(), bias.data<float>());
}

}  // namespace
}  // namespace ddpm::cpu
