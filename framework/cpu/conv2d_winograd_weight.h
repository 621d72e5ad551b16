// Winograd's weight gradient for any vector type, compiled as conv2d_winograd_kernels.h is: for
// each of the 36 points a product (out channels, tiles) (tiles, in channels), then one transform
// back.
//
// Where the 36 products stay near the L2 cache, a piece of work walks its share of the tiles and
// adds to products of its own; the shares follow from the shape and are added up in order.
// Otherwise the tiles of a chunk are transformed together, and a piece owns a point of a panel of
// input channels and walks all tiles.

#include "framework/cpu/conv2d_winograd_data.h"

namespace ddpm::cpu {
namespace {

struct WinogradWeight {
  WinogradTiles tiles;
  WindowedImages x, dy;
  float* dweight;

  // Of the products: (point, out channel, in channel).
  int64_t row_stride() const { return odd_lines(x.channels); }
  int64_t point_stride() const { return dy.channels * row_stride() + 16; }
  int64_t size() const { return kPoints * point_stride(); }
};

WinogradWeight winograd_weight(const Conv2dProblem& p, const Conv2dOperands& o) {
  return {winograd_tiles(p.images, p.out_height, p.out_width),
          {o.x.data<float>(), p.in_height, p.in_width, p.in_channels, p.pad_top, p.pad_left},
          {o.y.data<float>(), p.out_height, p.out_width, p.out_channels, 0, 0},
          o.weight.data<float>()};
}

// Adds rows first .. first + count - 1 of one point and panel of input channels to the products, or
// sets them.
template <class Isa>
void accumulate_panel(const WinogradWeight& w, int64_t point, int64_t panel, TileRange rows,
                      const PointMatrices& x, const PointMatrices& dy, bool is_first,
                      float* products) {
  const Panels<Isa> panels{w.x.channels};
  const int64_t first = panel * panels.kWidth;
  float* const sums = products + point * w.point_stride() + first;
  with_constant<Isa::kVectors>(panels.padded_columns(panel) / Isa::kLanes, [&](auto vectors) {
    for (int64_t k = 0; k < w.dy.channels; k += kRows)
      with_constant<kRows>(w.dy.channels - k, [&](auto k_rows) {
        accumulate_tile<Isa, k_rows(), vectors()>(
            dy.row(point, rows.begin) + k, dy.row_stride, x.row(point, rows.begin) + first,
            x.row_stride, rows.count, is_first, sums + k * w.row_stride(), w.row_stride());
      });
  });
}

// dweight = the sum of `shares` products, one behind the other, transformed back.
template <class Isa>
void write_weights(const WinogradWeight& w, const float* products, int64_t shares) {
  using Vector = typename Isa::Vector;
  const int64_t channels = w.x.channels;
  parallel_for(w.dy.channels, [&](int64_t k) {
    float* const to = w.dweight + k * kTaps * kTaps * channels;
    for (int64_t c = 0; c < channels; c += Isa::kLanes)
      transform<Isa, WeightGradientLine>(
          [&](int point) {
            const float* from = products + point * w.point_stride() + k * w.row_stride() + c;
            Vector sum = Isa::load(from);
            for (int64_t share = 1; share < shares; ++share)
              sum = Isa::add(sum, Isa::load(from + share * w.size()));
            return sum;
          },
          [&](int tap, Vector v) { Isa::store(to + tap * channels + c, channels - c, v); });
  });
}

constexpr int64_t kSumTiles = 96;  // between two writes of the products

template <class Isa>
void run_shares(const WinogradWeight& w, const float* zeros) {
  constexpr int64_t kMostShares = 16;
  const int64_t blocks = divide_up(w.tiles.count(), kSumTiles);
  const int64_t shares = std::min(blocks, kMostShares);
  const int64_t panels = Panels<Isa>{w.x.channels}.count();
  const int64_t x_size = kPoints * PointMatrices::point_stride_of(kSumTiles, w.x.channels);
  const int64_t dy_size = kPoints * PointMatrices::point_stride_of(kSumTiles, w.dy.channels);
  const Tensor products = Tensor::empty({shares, w.size()}, DType::kF32, Device::kCpu);
  parallel_for_scratch<float>(shares, x_size + dy_size, [&](int64_t share, float* memory) {
    const PointMatrices x(memory, kSumTiles, w.x.channels);
    const PointMatrices dy(memory + x_size, kSumTiles, w.dy.channels);
    const int64_t first_block = share * blocks / shares;
    for (int64_t block = first_block; block < (share + 1) * blocks / shares; ++block) {
      const int64_t begin = block * kSumTiles;
      const TileRange range{begin, std::min(kSumTiles, w.tiles.count() - begin)};
      transform_windows<Isa, InputLine>(w.tiles, w.x, range, zeros, x, 0);
      transform_windows<Isa, OutputGradientLine>(w.tiles, w.dy, range, zeros, dy, 0);
      for (int64_t point = 0; point < kPoints; ++point)
        for (int64_t panel = 0; panel < panels; ++panel)
          accumulate_panel<Isa>(w, point, panel, {0, range.count}, x, dy, block == first_block,
                                products.data<float>() + share * w.size());
    }
  });
  write_weights<Isa>(w, products.data<float>(), shares);
}

template <class Isa>
void run_points(const WinogradWeight& w, const float* zeros) {
  constexpr int64_t kGrain = 4;                        // tiles
  constexpr int64_t kMostElements = int64_t{4} << 20;  // of a chunk: a share of the L3 cache
  const int64_t tiles = w.tiles.count();
  const int64_t tile_size = kPoints * (PointMatrices::row_stride_of(w.x.channels) +
                                       PointMatrices::row_stride_of(w.dy.channels));
  const int64_t chunk =
      std::min(tiles, std::max(int64_t{1}, kMostElements / (tile_size * kSumTiles)) * kSumTiles);
  const int64_t panels = Panels<Isa>{w.x.channels}.count();
  const int64_t x_size = kPoints * PointMatrices::point_stride_of(chunk, w.x.channels);
  const int64_t dy_size = kPoints * PointMatrices::point_stride_of(chunk, w.dy.channels);
  const Tensor memory = Tensor::empty({x_size + dy_size}, DType::kF32, Device::kCpu);
  const Tensor products = Tensor::empty({w.size()}, DType::kF32, Device::kCpu);
  const PointMatrices x(memory.data<float>(), chunk, w.x.channels);
  const PointMatrices dy(memory.data<float>() + x_size, chunk, w.dy.channels);
  for (int64_t first = 0; first < tiles; first += chunk) {
    const int64_t count = std::min(chunk, tiles - first);
    parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
      const TileRange range{first + begin, end - begin};
      transform_windows<Isa, InputLine>(w.tiles, w.x, range, zeros, x, begin);
      transform_windows<Isa, OutputGradientLine>(w.tiles, w.dy, range, zeros, dy, begin);
    });
    parallel_for(kPoints * panels, [&](int64_t piece) {
      for (int64_t begin = 0; begin < count; begin += kSumTiles)
        accumulate_panel<Isa>(w, piece / panels, piece % panels,
                              {begin, std::min(kSumTiles, count - begin)}, x, dy,
                              first + begin == 0, products.data<float>());
    });
  }
  write_weights<Isa>(w, products.data<float>(), 1);
}

template <class Isa>
void run_winograd_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  constexpr int64_t kMostElements = 1 << 20;  // of a share, which stays near the L2 cache
  const WinogradWeight w = winograd_weight(problem, operands);
  if (w.tiles.count() == 0) {
    std::fill_n(w.dweight, operands.weight.numel(), 0.0f);
    return;
  }
  const Tensor zeros =
      Tensor::zeros({std::max(w.x.channels, w.dy.channels)}, DType::kF32, Device::kCpu);
  const auto run = w.size() <= kMostElements ? run_shares<Isa> : run_points<Isa>;
  run(w, zeros.data<float>());
}

}  // namespace
}  // namespace ddpm::cpu
