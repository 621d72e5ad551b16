// The weight gradient on the matrix unit: dweight[k, tap, c] = sum over pixels of dy[pixel, k]
// times the x under the tap. The reduction runs over pixels, 32 to a tile, so both operands are
// copied into tiles that are transposed:
//
//   dy: (group of images, row, 32 positions, block of 16 k): 16 rows of k by 32 positions
//   x:  (group, plane, row, block of 16 c, pairing): pairs of positions by 16 c
//
// A position is (column, image of the group); images narrower than a tile are interleaved until a
// row has 32 positions. A tap shifts x by whole columns: with an even group pairs stay pairs, else
// x is copied twice, paired from even and from odd positions.
#include "framework/cpu/conv2d_amx.h"

#if defined(__x86_64__)
#include <algorithm>

#include "framework/cpu/amx.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")

#include "framework/cpu/conv2d_amx_pack.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kTile = kTileRows * kTileDepth;

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Layout {
  int64_t group, groups, row_tiles;  // images interleaved, how often, tiles of 32 positions a row
  int64_t k_blocks, c_blocks;        // of 16, in pairs
  int64_t plane_height, pairs;       // rows of a plane of x, pairs of positions of a row
  int64_t planes, pairings;
  int64_t dy_group, x_group;  // elements of one part of one group

  explicit Layout(const Conv2dProblem& p) {
    group = std::clamp<int64_t>(kTileDepth / p.out_width, 1, p.images);
    groups = divide_up(p.images, group);
    row_tiles = divide_up(p.out_width * group, kTileDepth);
    k_blocks = divide_up(p.out_channels, 32) * 2, c_blocks = divide_up(p.in_channels, 32) * 2;
    planes = p.stride * p.stride;
    plane_height = p.out_height + (p.kernel_height - 1) / p.stride;
    const int64_t reach = (p.kernel_width - 1) / p.stride;
    pairs = divide_up(row_tiles * kTileDepth + reach * group, 2);
    pairings = group % 2 == 1 && reach > 0 ? 2 : 1;
    dy_group = p.out_height * row_tiles * k_blocks * kTile;
    x_group = planes * plane_height * c_blocks * pairings * pairs * 32;
  }
  int64_t x_row(int64_t plane, int64_t row, int64_t block, int64_t pairing) const {
    return ((((plane * plane_height + row) * c_blocks + block) * pairings + pairing) * pairs) * 32;
  }
};

// Row `row` of dy of one group: every block of 16 k transposed, 32 positions at a time.
template <class Values>
void pack_dy_row(const Conv2dProblem& p, const Layout& l, const typename Values::T* dy,
                 int64_t group, int64_t row, int64_t part_size, bf16* to) {
  const auto pixel = [&](int64_t position) -> const typename Values::T* {
    const int64_t n = group * l.group + position % l.group, column = position / l.group;
    if (n >= p.images || column >= p.out_width) return nullptr;
    return dy + ((n * p.out_height + row) * p.out_width + column) * p.out_channels;
  };
  for (int64_t tile = 0; tile < l.row_tiles; ++tile)
    for (int64_t block = 0; block < l.k_blocks; ++block, to += kTile) {
      const int64_t k = block * 16, rest = p.out_channels - k;
      for (int part = 0; part < Values::kParts; ++part) {
        // Word (pair of positions, k) becomes word (k, pair).
        __m512i words[16];
        for (int64_t i = 0; i < 16; ++i) {
          const auto *even = pixel(tile * 32 + 2 * i), *odd = pixel(tile * 32 + 2 * i + 1);
          const Values pair =
              rest > 0 ? Values::load(even ? even + k : nullptr, odd ? odd + k : nullptr, rest)
                       : Values::zero();
          words[i] = interleave_halves(pair.part(part));
        }
        transpose_words(words);
        for (int64_t i = 0; i < 16; ++i)
          _mm512_store_si512(to + part * part_size + i * 32, words[i]);
      }
    }
}

// Row `row` of a plane of x of one group.
template <class Values>
void pack_x_row(const Conv2dProblem& p, const Layout& l, const typename Values::T* x, int64_t group,
                int64_t plane, int64_t row, int64_t part_size, bf16* x_packed) {
  const int64_t h = row * p.stride + plane / p.stride - p.pad_top;
  const auto pixel = [&](int64_t position) -> const typename Values::T* {
    const int64_t n = group * l.group + position % l.group;
    const int64_t w = position / l.group * p.stride + plane % p.stride - p.pad_left;
    if (n >= p.images || h < 0 || h >= p.in_height || w < 0 || w >= p.in_width) return nullptr;
    return x + ((n * p.in_height + h) * p.in_width + w) * p.in_channels;
  };
  for (int64_t block = 0; block < l.c_blocks; ++block) {
    const int64_t c = block * 16, rest = p.in_channels - c;
    for (int64_t pairing = 0; pairing < l.pairings; ++pairing) {
      bf16* to = x_packed + l.x_row(plane, row, block, pairing);
      for (int64_t i = 0; i < l.pairs; ++i, to += 32) {
        const auto *even = pixel(2 * i + pairing), *odd = pixel(2 * i + pairing + 1);
        const Values pair =
            rest > 0 ? Values::load(even ? even + c : nullptr, odd ? odd + c : nullptr, rest)
                     : Values::zero();
        for (int part = 0; part < Values::kParts; ++part)
          _mm512_store_si512(to + part * part_size, interleave_halves(pair.part(part)));
      }
    }
  }
}

// One tap of a tile of 32 k by 32 c, over `count` tiles of positions.
template <int kParts>
void accumulate(const bf16* dy, int64_t dy_step, int64_t dy_part, const bf16* const* x,
                int64_t x_block, int64_t x_part, int64_t count, bool is_first, float* sums) {
  if (is_first) {
    zero_sums();
  } else {
    load_sums(sums, 512, 16, 128);
  }
  for (int64_t i = 0; i < count; ++i, dy += dy_step) {
    const bf16* b = x[i];
    if constexpr (kParts == 2) {
      load_left(dy + dy_part, dy + dy_part + kTile);
      load_right(b, b + x_block);
      multiply_tiles();
      load_left(dy, dy + kTile);
      multiply_tiles();
      load_right(b + x_part, b + x_part + x_block);
      multiply_tiles();
    } else {
      load_left(dy, dy + kTile);
      load_right(b, b + x_block);
      multiply_tiles();
    }
  }
  store_sums(sums, 512, 16, 128);
}

// dweight (+)= the valid part of 32 k by 32 c.
void add_block(const float* sums, int64_t rows, int64_t columns, bool is_first, int64_t stride,
               float* dweight) {
  for (int64_t k = 0; k < rows; ++k, sums += 32, dweight += stride)
    for (int64_t c = 0; c < columns; c += 16) {
      const auto lanes =
          static_cast<__mmask16>(columns - c >= 16 ? 0xffff : (1 << (columns - c)) - 1);
      __m512 sum = _mm512_load_ps(sums + c);
      if (!is_first) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, dweight + c));
      _mm512_mask_storeu_ps(dweight + c, lanes, sum);
    }
}

template <class Values>
void run(const Conv2dProblem& p, const Conv2dOperands& operands) {
  constexpr int kParts = Values::kParts;
  constexpr int64_t kMostElements = 8 << 20;  // packed at a time, 16 MiB
  constexpr int64_t kTiles = 4;               // of positions, whose operands stay in the L1 cache
  const Layout l(p);
  const auto *x = operands.x.data<typename Values::T>(),
             *dy = operands.y.data<typename Values::T>();
  float* const dweight = operands.weight.data<float>();
  const int64_t stride = p.taps() * p.in_channels;  // of dweight

  const int64_t chunk = std::clamp<int64_t>(kMostElements / (kParts * (l.dy_group + l.x_group)), 1,
                                            std::max<int64_t>(1, l.groups));
  const int64_t dy_part = chunk * l.dy_group, x_part = chunk * l.x_group;
  const Tensor packed = Tensor::empty({kParts * (dy_part + x_part)}, DType::kBf16, Device::kCpu);
  bf16 *const dy_packed = packed.data<bf16>(), *const x_packed = dy_packed + kParts * dy_part;
  if (l.groups == 0) std::fill_n(dweight, operands.weight.numel(), 0.0f);

  for (int64_t first = 0; first < l.groups; first += chunk) {
    const int64_t count = std::min(chunk, l.groups - first);
    const int64_t x_rows = l.planes * l.plane_height;
    parallel_for(count * (p.out_height + x_rows), [&](int64_t i) {
      const int64_t g = i / (p.out_height + x_rows), row = i % (p.out_height + x_rows);
      if (row < p.out_height)
        pack_dy_row<Values>(p, l, dy, first + g, row, dy_part,
                            dy_packed + g * l.dy_group + row * l.row_tiles * l.k_blocks * kTile);
      else
        pack_x_row<Values>(p, l, x, first + g, (row - p.out_height) / l.plane_height,
                           (row - p.out_height) % l.plane_height, x_part, x_packed + g * l.x_group);
    });

    // A piece is 32 k by 32 c, all taps; few of them share out the taps.
    const int64_t blocks = l.k_blocks / 2 * (l.c_blocks / 2);
    const int64_t tap_pieces = blocks < 8 ? p.taps() : 1, tap_count = p.taps() / tap_pieces;
    const int64_t rows = count * p.out_height, tiles = rows * l.row_tiles;
    parallel_for_scratch<float>(blocks * tap_pieces, tap_count * 1024, [&](int64_t i, float* sums) {
      const TileScope tiles_of_this_thread;
      const int64_t block = i / tap_pieces, first_tap = i % tap_pieces * tap_count;
      const int64_t k = block / (l.c_blocks / 2) * 2, c = block % (l.c_blocks / 2) * 2;
      for (int64_t begin = 0; begin < tiles; begin += kTiles) {
        const int64_t tile_count = std::min(kTiles, tiles - begin);
        for (int64_t t = 0; t < tap_count; ++t) {
          const int64_t r = (first_tap + t) / p.kernel_width, s = (first_tap + t) % p.kernel_width;
          const int64_t plane = r % p.stride * p.stride + s % p.stride;
          const bf16* under[kTiles];
          for (int64_t j = 0; j < tile_count; ++j) {
            const int64_t row = (begin + j) / l.row_tiles;
            const int64_t position =
                (begin + j) % l.row_tiles * kTileDepth + s / p.stride * l.group;
            under[j] = x_packed + row / p.out_height * l.x_group +
                       l.x_row(plane, row % p.out_height + r / p.stride, c, position % 2) +
                       position / 2 * 32;
          }
          accumulate<kParts>(dy_packed + (begin * l.k_blocks + k) * kTile, l.k_blocks * kTile,
                             dy_part, under, l.pairings * l.pairs * 32, x_part, tile_count,
                             begin == 0, sums + t * 1024);
        }
      }
      for (int64_t t = 0; t < tap_count; ++t)
        add_block(sums + t * 1024, std::min<int64_t>(32, p.out_channels - k * 16),
                  std::min<int64_t>(32, p.in_channels - c * 16), first == 0, stride,
                  dweight + k * 16 * stride + (first_tap + t) * p.in_channels + c * 16);
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

void amx_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  if (problem.dtype == DType::kBf16)
    run<Bf16Values>(problem, operands);
  else
    run<F32Values>(problem, operands);
}

}  // namespace ddpm::cpu
#endif
