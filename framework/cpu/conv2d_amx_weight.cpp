// The weight gradient on the matrix unit: dweight[k, tap, c] = sum over pixels of dy[pixel, k]
// times the x under the tap. The reduction runs over pixels, 32 to a tile, so both operands are
// copied into tiles that are transposed:
//
//   dy: (group of images, 32 k, row, 32 positions, half of k): 16 rows of k by 32 positions
//   x:  (group, 32 c, plane, row, half of c, pairing): pairs of positions by 16 c
//
// A position is (column, image of the group); images narrower than a tile are interleaved until a
// row has 32 positions. A tap shifts x by whole columns: with an even group pairs stay pairs, else
// x is copied twice, paired from even and from odd positions.
#include "framework/cpu/conv2d_amx.h"

#if defined(__x86_64__)
#include <algorithm>
#include <vector>

#include "framework/cpu/amx.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")

#include "framework/cpu/amx_tiles.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kLeastPieces = 8;  // for the threads to share
constexpr int64_t kPixelsAhead = 16;

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Layout {
  int64_t group, groups, row_tiles;  // images interleaved, how often, tiles of 32 positions a row
  int64_t k_blocks, c_blocks;        // of 16, in pairs
  int64_t plane_height, pairs;       // rows of a plane of x, pairs of positions of a row
  int64_t planes, pairings;
  // Elements of one part: of 32 channels of one group, of half of a row of those, of a group.
  int64_t dy_slice, x_slice, x_half, dy_group;

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
    dy_slice = p.out_height * row_tiles * 2 * kTile;
    x_half = pairings * pairs * 32;
    x_slice = planes * plane_height * 2 * x_half;
    dy_group = k_blocks / 2 * dy_slice;
  }
  int64_t dy_tile(int64_t block, int64_t row, int64_t tile) const {
    return block / 2 * dy_slice + ((row * row_tiles + tile) * 2 + block % 2) * kTile;
  }
  int64_t x_row(int64_t plane, int64_t row, int64_t block, int64_t pairing) const {
    return block / 2 * x_slice + ((plane * plane_height + row) * 2 + block % 2) * x_half +
           pairing * pairs * 32;
  }
};

// The pixels of one row of a group of images, position after position; null where there is none.
template <class T>
class RowPixels {
 public:
  RowPixels(const T* images, int64_t count, int64_t height, int64_t width, int64_t channels,
            int64_t row)
      : row_(images + row * width * channels),
        count_(row >= 0 && row < height ? count : 0),
        width_(width),
        channels_(channels),
        image_size_(height * width * channels) {}
  const T* at(int64_t image, int64_t column) const {
    const bool exists = image < count_ && column >= 0 && column < width_;
    return exists ? row_ + image * image_size_ + column * channels_ : nullptr;
  }

 private:
  const T* row_;
  int64_t count_, width_, channels_, image_size_;
};

template <class Values>
Values load_or_zero(const typename Values::T* pixel, int64_t channel, int64_t count) {
  return pixel ? Values::load(pixel + channel, count) : Values::zero();
}

// Row `row` of dy of one group: 32 k of 32 positions at a time, transposed.
template <class Values>
void pack_dy_row(const Conv2dProblem& p, const Layout& l, const typename Values::T* dy,
                 int64_t group, int64_t row, int64_t part_size, bf16* dy_packed) {
  const int64_t first = group * l.group;
  const RowPixels<typename Values::T> pixels(dy + first * p.out_pixels() * p.out_channels,
                                             std::min(l.group, p.images - first), p.out_height,
                                             p.out_width, p.out_channels, row);
  const auto pixel = [&](int64_t position) {
    return pixels.at(position % l.group, position / l.group);
  };
  for (int64_t tile = 0; tile < l.row_tiles; ++tile)
    for (int64_t k = 0; k < p.out_channels; k += 32) {
      bf16* const to = dy_packed + l.dy_tile(k / 16, row, tile);
      for (int part = 0; part < Values::kParts; ++part) {
        // Word (pair of positions, k) becomes word (k, pair).
        __m512i low[16], high[16];
        for (int64_t i = 0; i < 16; ++i) {
          const auto load = [&](int64_t position) {
            return load_or_zero<Values>(pixel(position), k, p.out_channels - k).part(part);
          };
          const __m512i even = load(tile * 32 + 2 * i), odd = load(tile * 32 + 2 * i + 1);
          low[i] = pair_up<0>(even, odd);
          high[i] = pair_up<1>(even, odd);
        }
        transpose_words(low);
        transpose_words(high);
        for (int64_t i = 0; i < 16; ++i) {
          _mm512_store_si512(to + part * part_size + i * 32, low[i]);
          _mm512_store_si512(to + part * part_size + kTile + i * 32, high[i]);
        }
      }
    }
}

// 32 c of one group of x.
template <class Values>
void pack_x_slice(const Conv2dProblem& p, const Layout& l, const typename Values::T* x,
                  int64_t group, int64_t channel, int64_t part_size, bf16* slice) {
  const int64_t first = group * l.group, count = std::min(l.group, p.images - first);
  for (int64_t plane = 0; plane < l.planes; ++plane)
    for (int64_t row = 0; row < l.plane_height; ++row) {
      const RowPixels<typename Values::T> pixels(x + first * p.in_pixels() * p.in_channels, count,
                                                 p.in_height, p.in_width, p.in_channels,
                                                 row * p.stride + plane / p.stride - p.pad_top);
      bf16* const to = slice + l.x_row(plane, row, 0, 0);
      __m512i last[Values::kParts];
      int64_t image = 0, column = plane % p.stride - p.pad_left;
      for (int64_t position = 0; position < 2 * l.pairs + l.pairings - 1; ++position) {
        const auto* const pixel = pixels.at(image, column);
        // One line in so many: too sparse for the processor to foresee.
        if (pixel) __builtin_prefetch(pixel + channel + kPixelsAhead * p.in_channels);
        const auto values = load_or_zero<Values>(pixel, channel, p.in_channels - channel);
        if (++image == l.group) image = 0, column += p.stride;
        for (int part = 0; part < Values::kParts; ++part) {
          const __m512i bits = values.part(part);
          const int64_t pairing = (position + 1) % 2;  // of this position and the one before
          if (position > 0 && pairing < l.pairings) {
            bf16* const pair =
                to + part * part_size + (pairing * l.pairs + (position - 1) / 2) * 32;
            _mm512_store_si512(pair, pair_up<0>(last[part], bits));
            _mm512_store_si512(pair + l.x_half, pair_up<1>(last[part], bits));
          }
          last[part] = bits;
        }
      }
    }
}

// A tap of half of 32 c: where it reads x, from the tile of positions.
struct Unit {
  int64_t tap, half, offset;
};

// In the order in which they are summed, two at a time. Pairs are rows of the kernel that meet the
// same rows of x one after the other: what one of them reads is in the L1 cache for the other.
std::vector<Unit> list_units(const Conv2dProblem& p, const Layout& l) {
  std::vector<Unit> units;
  for (int64_t s = 0; s < p.kernel_width; ++s)
    for (int64_t i = 0; i < 2 * p.kernel_height; ++i) {
      const int64_t half = i / p.kernel_height;
      const int64_t r = half == 0 ? i : 2 * p.kernel_height - 1 - i;
      const int64_t plane = r % p.stride * p.stride + s % p.stride;
      const int64_t shift = s / p.stride * l.group;  // in positions
      units.push_back({r * p.kernel_width + s, half,
                       l.x_row(plane, r / p.stride, half, shift % 2) + shift / 2 * 32});
    }
  return units;
}

// sums (unit, 32 k, 16 c) of two units over all positions of `groups` groups.
template <int kParts>
void sum_products(const Conv2dProblem& p, const Layout& l, int64_t groups, const bf16* dy,
                  int64_t dy_part, const bf16* first, const bf16* second, int64_t x_part,
                  float* sums) {
  zero_sums();
  for (int64_t g = 0; g < groups; ++g) {
    const bf16* a = dy + g * l.dy_group;
    for (int64_t row = 0; row < p.out_height; ++row)
      for (int64_t tile = 0; tile < l.row_tiles; ++tile, a += 2 * kTile) {
        const int64_t place = g * l.x_slice + row * 2 * l.x_half + tile * kTile;
        const bf16 *b = first + place, *c = second + place;
        multiply_step<kParts>(a, a + kTile, dy_part, b, c, x_part);
        keep_vector_unit_awake();
      }
  }
  store_sums(sums, 256, 512, 64);
}

// dweight (+)= the valid part of 32 k by 16 c.
void add_block(const float* sums, int64_t rows, int64_t columns, bool is_first, int64_t stride,
               float* dweight) {
  const auto lanes = static_cast<__mmask16>(first_lanes(columns));
  for (int64_t k = 0; k < rows; ++k, sums += 16, dweight += stride) {
    __m512 sum = _mm512_load_ps(sums);
    if (!is_first) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, dweight));
    _mm512_mask_storeu_ps(dweight, lanes, sum);
  }
}

// What every piece of the work needs to know.
template <class Values_>
struct Gradient {
  using Values = Values_;
  using T = typename Values::T;
  static constexpr int kParts = Values::kParts;
  // Packed at a time: what a piece reads again and again stays in the L2 cache.
  static constexpr int64_t kMostElements = 1 << 20;

  const Conv2dProblem& p;
  const T *x, *dy;
  float* dweight;
  Layout l;
  std::vector<Unit> units;
  int64_t k_pairs, c_pairs, unit_pairs;
  int64_t stride;  // of dweight

  Gradient(const Conv2dProblem& problem, const Conv2dOperands& operands)
      : p(problem),
        x(operands.x.data<T>()),
        dy(operands.y.data<T>()),
        dweight(operands.weight.data<float>()),
        l(p),
        units(list_units(p, l)),
        k_pairs(l.k_blocks / 2),
        c_pairs(l.c_blocks / 2),
        unit_pairs(static_cast<int64_t>(units.size()) / 2),
        stride(p.taps() * p.in_channels) {}

  // Groups whose dy and `slices` slices of x are packed at a time.
  int64_t chunk(int64_t slices, int64_t groups) const {
    return std::clamp<int64_t>(kMostElements / (kParts * (l.dy_group + slices * l.x_slice)), 1,
                               std::max<int64_t>(1, groups));
  }

  // Products begin .. end - 1, in the order (32 k, two units), of 32 c over `count` groups.
  void multiply(int64_t c, int64_t begin, int64_t end, int64_t count, const bf16* dy_packed,
                int64_t dy_part, const bf16* slice, int64_t x_part, bool is_first,
                float* to) const {
    alignas(64) float sums[2 * 32 * 16];
    for (int64_t j = begin; j < end; ++j) {
      const int64_t k = j / unit_pairs;
      const Unit* const both = units.data() + j % unit_pairs * 2;
      sum_products<kParts>(p, l, count, dy_packed + k * l.dy_slice, dy_part, slice + both[0].offset,
                           slice + both[1].offset, x_part, sums);
      for (int64_t u = 0; u < 2; ++u) {
        const int64_t channel = c * 32 + both[u].half * 16;
        if (channel < p.in_channels)
          add_block(sums + u * 512, std::min<int64_t>(32, p.out_channels - k * 32),
                    p.in_channels - channel, is_first, stride,
                    to + k * 32 * stride + both[u].tap * p.in_channels + channel);
      }
    }
  }
};

// Into how many shares the images are cut, by the shape alone; 1: they are not. It pays where both
// operands of a share and its sums fit in the L2 cache: on two cores the training step of the
// digits network went from 67 to 59 ms.
template <class Values>
int64_t image_shares(const Gradient<Values>& gradient) {
  constexpr int64_t kLeastSteps = 16, kMostShares = 8, kMostPairs = 8;
  const Layout& l = gradient.l;
  if (gradient.k_pairs * gradient.c_pairs > kMostPairs) return 1;
  const int64_t steps = l.groups * gradient.p.out_height * l.row_tiles;
  return std::clamp<int64_t>(steps / kLeastSteps, 1, std::min(l.groups, kMostShares));
}

// A piece is 32 c, all k, all taps; few pieces share out the k, then the taps. It packs its x
// itself, into the caches that will read it, but where too many would pack the same.
template <class Values>
void run_slices(const Gradient<Values>& gradient) {
  constexpr int kParts = Values::kParts;
  const auto& [p, x, dy, dweight, l, units, k_pairs, c_pairs, unit_pairs, stride] = gradient;
  const int64_t chunk = gradient.chunk(1, l.groups);
  const int64_t dy_part = chunk * l.dy_group, x_part = chunk * l.x_slice;
  const Tensor packed = Tensor::empty({kParts * dy_part}, DType::kBf16, Device::kCpu);
  bf16* const dy_packed = packed.data<bf16>();

  const int64_t products = k_pairs * unit_pairs;  // of a slice
  const int64_t shares = std::min(products, divide_up(kLeastPieces, c_pairs));
  const bool is_shared = shares > 2;
  const int64_t slice_size = kParts * x_part;
  const Tensor shared =
      Tensor::empty({is_shared ? c_pairs * slice_size : 0}, DType::kBf16, Device::kCpu);
  for (int64_t first = 0; first < l.groups; first += chunk) {
    const int64_t count = std::min(chunk, l.groups - first);
    parallel_for(count * p.out_height, [&](int64_t i) {
      const int64_t g = i / p.out_height;
      pack_dy_row<Values>(p, l, dy, first + g, i % p.out_height, dy_part,
                          dy_packed + g * l.dy_group);
    });
    const auto pack_x = [&](int64_t c, int64_t g, bf16* slice) {
      pack_x_slice<Values>(p, l, x, first + g, c * 32, x_part, slice + g * l.x_slice);
    };
    if (is_shared)
      parallel_for(c_pairs * count, [&](int64_t i) {
        pack_x(i / count, i % count, shared.data<bf16>() + i / count * slice_size);
      });
    parallel_for_scratch<bf16>(
        c_pairs * shares, is_shared ? 0 : slice_size, [&](int64_t i, bf16* scratch) {
          const TileScope tiles_of_this_thread;
          const int64_t c = i / shares, share = i % shares;
          bf16* const slice = is_shared ? shared.data<bf16>() + c * slice_size : scratch;
          for (int64_t g = 0; g < count && !is_shared; ++g) pack_x(c, g, slice);
          gradient.multiply(c, products * share / shares, products * (share + 1) / shares, count,
                            dy_packed, dy_part, slice, x_part, first == 0, dweight);
        });
  }
}

// A piece is a share of the images, all c, k and taps: what it packs no other core reads. The sums
// of the pieces are added up in their order.
template <class Values>
void run_image_shares(const Gradient<Values>& gradient, int64_t shares) {
  constexpr int kParts = Values::kParts;
  const auto& [p, x, dy, dweight, l, units, k_pairs, c_pairs, unit_pairs, stride] = gradient;
  const int64_t size = p.out_channels * stride;
  const Tensor partial = Tensor::empty({shares, size}, DType::kF32, Device::kCpu);
  const int64_t chunk = gradient.chunk(c_pairs, divide_up(l.groups, shares));
  const int64_t dy_part = chunk * l.dy_group, x_part = chunk * l.x_slice;
  parallel_for_scratch<bf16>(
      shares, kParts * (dy_part + c_pairs * x_part), [&](int64_t share, bf16* dy_packed) {
        const TileScope tiles_of_this_thread;
        bf16* const x_packed = dy_packed + kParts * dy_part;
        const int64_t begin = l.groups * share / shares, end = l.groups * (share + 1) / shares;
        for (int64_t first = begin; first < end; first += chunk) {
          const int64_t count = std::min(chunk, end - first);
          for (int64_t g = 0; g < count; ++g)
            for (int64_t row = 0; row < p.out_height; ++row)
              pack_dy_row<Values>(p, l, dy, first + g, row, dy_part, dy_packed + g * l.dy_group);
          for (int64_t c = 0; c < c_pairs; ++c) {
            bf16* const slice = x_packed + c * kParts * x_part;
            for (int64_t g = 0; g < count; ++g)
              pack_x_slice<Values>(p, l, x, first + g, c * 32, x_part, slice + g * l.x_slice);
            gradient.multiply(c, 0, k_pairs * unit_pairs, count, dy_packed, dy_part, slice, x_part,
                              first == begin, partial.data<float>() + share * size);
          }
        }
      });
  parallel_ranges(size, kElementGrain, [&](int64_t begin, int64_t end) {
    const float* sums = partial.data<float>();
    std::copy(sums + begin, sums + end, dweight + begin);
    for (int64_t share = 1; share < shares; ++share) {
      sums += size;
      for (int64_t i = begin; i < end; ++i) dweight[i] += sums[i];
    }
  });
}

template <class Values>
void run(const Conv2dProblem& p, const Conv2dOperands& operands) {
  const Gradient<Values> gradient(p, operands);
  const Layout& l = gradient.l;
  if (l.groups == 0) {
    std::fill_n(gradient.dweight, operands.weight.numel(), 0.0f);
    return;
  }
  const int64_t shares = image_shares(gradient);
  if (shares > 1)
    run_image_shares(gradient, shares);
  else
    run_slices(gradient);
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
