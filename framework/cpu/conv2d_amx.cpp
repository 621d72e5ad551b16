// Forward and data gradient on the matrix unit; conv2d_amx_weight.cpp has the weight gradient.
//
// Both are sums over taps of products (pixels, channels in) (channels in, channels out). A piece of
// work copies the input rows that it reads into the layout that tiles want,
//
//   (group of images, block of 32 channels, plane, row, column, image of the group, 32 channels)
//
// where neighbours along a row are 64 bytes apart for every tap: 16 of them are a tile wherever
// they start. Images narrower than a tile are interleaved in groups, and a stride of d reads d * d
// planes of every d-th pixel. Padding is part of the copy.
#include "framework/cpu/conv2d_amx.h"

#if defined(__x86_64__)
#include <algorithm>
#include <any>
#include <memory>
#include <vector>

#include "framework/cpu/amx.h"
#include "framework/cpu/scratch.h"

namespace ddpm::cpu {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct PackedWeights {
  Conv2dPass pass;
  std::vector<Tensor> lattices;
};

// Those of the last call for a weight that no training changes, else an empty one.
std::shared_ptr<PackedWeights> prepared_weights(Conv2dPass pass, const Tensor& weight) {
  const auto fresh = std::make_shared<PackedWeights>(PackedWeights{pass, {}});
  if (weight.requires_grad()) return fresh;
  std::any& kept = weight.slot()->prepared;
  const auto* packed = std::any_cast<std::shared_ptr<PackedWeights>>(&kept);
  if (packed && (*packed)->pass == pass) return *packed;
  kept = fresh;
  return fresh;
}

// Where a tap reads, from the pixel it is for, and which weights it has.
struct Tap {
  int64_t plane, row, column, index;
};

// Pixels that are computed through the same taps: pixel (i, j) of the lattice is pixel
// (top + i * step, left + j * step) of the result. Forward has one lattice, the data gradient of
// stride d the d * d remainders of the pixels.
struct Lattice {
  int64_t rows, columns, top, left, step;
  int64_t first_row, first_column;  // of the input, at row 0 and column 0 of plane 0
  std::vector<Tap> taps;
};

struct Plan {
  int64_t images, in_height, in_width, in_channels, out_height, out_width, out_channels;
  int64_t stride;                             // of the planes
  int64_t tap_stride, in_stride, out_stride;  // of weight, in elements
  std::vector<Lattice> lattices;
};

Lattice forward_lattice(const Conv2dProblem& p) {
  Lattice l{p.out_height, p.out_width, 0, 0, 1, -p.pad_top, -p.pad_left, {}};
  for (int64_t r = 0; r < p.kernel_height; ++r)
    for (int64_t s = 0; s < p.kernel_width; ++s)
      l.taps.push_back({r % p.stride * p.stride + s % p.stride, r / p.stride, s / p.stride,
                        r * p.kernel_width + s});
  return l;
}

// Along one axis: taps first, first + stride, ... of `extent` reach the pixels of remainder
// `phase`; the first one reads pixel i + origin for lattice pixel i, each next one the pixel
// before.
struct PhaseTaps {
  int64_t first, count, origin;
  PhaseTaps(int64_t phase, int64_t pad, int64_t stride, int64_t extent)
      : first((phase + pad) % stride),
        count(extent > first ? divide_up(extent - first, stride) : 0),
        origin((phase + pad - first) / stride) {}
};

Lattice backward_lattice(const Conv2dProblem& p, int64_t top, int64_t left) {
  const PhaseTaps rows(top, p.pad_top, p.stride, p.kernel_height);
  const PhaseTaps columns(left, p.pad_left, p.stride, p.kernel_width);
  Lattice l{divide_up(p.in_height - top, p.stride),
            divide_up(p.in_width - left, p.stride),
            top,
            left,
            p.stride,
            rows.origin - rows.count + 1,
            columns.origin - columns.count + 1,
            {}};
  for (int64_t r = 0; r < rows.count; ++r)
    for (int64_t s = 0; s < columns.count; ++s)
      l.taps.push_back(
          {0, rows.count - 1 - r, columns.count - 1 - s,
           (rows.first + r * p.stride) * p.kernel_width + columns.first + s * p.stride});
  return l;
}

Plan make_plan(Conv2dPass pass, const Conv2dProblem& p) {
  const int64_t row = p.taps() * p.in_channels;  // of one output channel in weight
  if (pass == Conv2dPass::kForward)
    return {p.images,    p.in_height,         p.in_width, p.in_channels, p.out_height,
            p.out_width, p.out_channels,      p.stride,   p.in_channels, 1,
            row,         {forward_lattice(p)}};
  Plan plan{p.images,
            p.out_height,
            p.out_width,
            p.out_channels,
            p.in_height,
            p.in_width,
            p.in_channels,
            1,
            p.in_channels,
            row,
            1,
            {}};
  for (int64_t top = 0; top < std::min(p.stride, p.in_height); ++top)
    for (int64_t left = 0; left < std::min(p.stride, p.in_width); ++left)
      plan.lattices.push_back(backward_lattice(p, top, left));
  return plan;
}

// One product of a tile: where its left operand begins, from that of the tile.
struct Step {
  int64_t left;        // elements
  int64_t tap, block;  // of weight, of 32 channels
};

// How a lattice is cut: pieces of whole rows of some groups of images, with the sizes of what a
// piece packs.
struct Cut {
  int64_t group, groups;             // images interleaved, and how often
  int64_t blocks, planes;            // of 32 channels, of pixels
  int64_t row_tiles;                 // of one row of a group
  int64_t piece_rows, piece_groups;  // of the lattice
  int64_t row_pieces, group_pieces;
  int64_t height, width;  // packed rows and columns of a piece
  int64_t plane_size, block_size, group_size, part_size;
  std::vector<Step> steps;

  Cut(const Plan& p, const Lattice& l, int parts) {
    constexpr int64_t kTiles = 16, kMostBytes = 768 << 10;  // a share of the L2 cache
    int64_t reach_down = 0, reach_right = 0;
    planes = 1;
    for (const Tap& tap : l.taps) {
      reach_down = std::max(reach_down, tap.row), reach_right = std::max(reach_right, tap.column);
      planes = std::max(planes, tap.plane + 1);
    }
    group = std::clamp<int64_t>(kTileRows / l.columns, 1, p.images);
    groups = divide_up(p.images, group);
    blocks = divide_up(p.in_channels, kTileDepth);
    row_tiles = divide_up(l.columns * group, kTileRows);
    // The last tile of a row may read beyond its end.
    width = l.columns + reach_right + divide_up(row_tiles * kTileRows - l.columns * group, group);
    const int64_t row_bytes = 2 * parts * blocks * planes * width * group * kTileDepth;
    piece_rows =
        std::clamp<int64_t>(kMostBytes / row_bytes - reach_down, divide_up(kTiles, row_tiles),
                            4 * divide_up(kTiles, row_tiles));
    piece_rows = std::min(piece_rows, l.rows);
    row_pieces = divide_up(l.rows, piece_rows);
    piece_rows = divide_up(l.rows, row_pieces);
    piece_groups = std::clamp<int64_t>(kTiles / (piece_rows * row_tiles), 1, groups);
    group_pieces = divide_up(groups, piece_groups);
    height = piece_rows + reach_down;
    plane_size = height * width * group * kTileDepth;
    block_size = planes * plane_size;
    group_size = blocks * block_size;
    part_size = piece_groups * group_size;
    // Taps of one row of the kernel follow one another: what they read of a block of channels
    // overlaps and is in the L1 cache.
    for (size_t first = 0, last; first < l.taps.size(); first = last) {
      last = first + 1;
      while (last < l.taps.size() && l.taps[last].row == l.taps[first].row) ++last;
      for (int64_t block = 0; block < blocks; ++block)
        for (size_t t = first; t < last; ++t) {
          const Tap& tap = l.taps[t];
          steps.push_back({block * block_size + tap.plane * plane_size +
                               (tap.row * width + tap.column) * group * kTileDepth,
                           tap.index, block});
        }
    }
  }
  int64_t pieces() const { return row_pieces * group_pieces; }
};

}  // namespace
}  // namespace ddpm::cpu

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")

#include "framework/cpu/amx_tiles.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kPanel = 32;      // output channels: two tiles
constexpr int64_t kSums = 4 * 256;  // of two tiles of pixels by two of channels

// One pixel, 32 channels at a time; null is padding. Extents are passed by value here and below:
// the compiler must assume that a store of a vector changes what is behind a reference.
template <class Values>
void copy_pixel(const typename Values::T* pixel, int64_t channels, int64_t block_size,
                int64_t part_size, bf16* to) {
  for (int64_t c = 0; c < channels; c += kTileDepth, to += block_size) {
    const Values values = pixel ? Values::load(pixel + c, channels - c) : Values::zero();
    for (int i = 0; i < Values::kParts; ++i) _mm512_store_si512(to + i * part_size, values.part(i));
  }
}

// The rows of a piece: lattice rows from `first_row` on, groups from `first_group` on.
template <class Values>
void copy_piece(const Plan& p, const Lattice& l, const Cut& cut, const typename Values::T* in,
                int64_t first_row, int64_t first_group, bf16* packed) {
  const int64_t channels = p.in_channels, in_width = p.in_width, stride = p.stride;
  const int64_t image_size = p.in_height * in_width * channels;
  const int64_t group = cut.group, width = cut.width;
  const int64_t block_size = cut.block_size, part_size = cut.part_size;
  for (int64_t g = 0; g < std::min(cut.piece_groups, cut.groups - first_group); ++g) {
    const int64_t first_image = (first_group + g) * group;
    for (int64_t plane = 0; plane < cut.planes; ++plane)
      for (int64_t row = 0; row < cut.height; ++row) {
        const int64_t h = (first_row + row) * stride + plane / stride + l.first_row;
        const bool row_exists = h >= 0 && h < p.in_height;
        const int64_t images = row_exists ? std::min(group, p.images - first_image) : 0;
        const typename Values::T* line = in + first_image * image_size + h * in_width * channels;
        bf16* to =
            packed + g * cut.group_size + plane * cut.plane_size + row * width * group * kTileDepth;
        int64_t w = plane % stride + l.first_column;
        for (int64_t column = 0; column < width; ++column, w += stride) {
          const int64_t existing = w >= 0 && w < in_width ? images : 0;
          for (int64_t i = 0; i < group; ++i, to += kTileDepth)
            copy_pixel<Values>(i < existing ? line + i * image_size + w * channels : nullptr,
                               channels, block_size, part_size, to);
        }
      }
  }
}

// A tile of weights of one step: 32 channels in, in pairs, by 16 channels out; the low part lies
// two tiles behind the high one.
template <class Values>
void pack_weight_tile(const Plan& p, const typename Values::T* weight, int64_t in, int64_t out,
                      bf16* to) {
  const int64_t ins = std::min<int64_t>(kTileDepth, p.in_channels - in);
  const int64_t outs = std::min<int64_t>(kTileRows, p.out_channels - out);
  const typename Values::T* from = weight + in * p.in_stride + out * p.out_stride;
  for (int part = 0; part < Values::kParts; ++part, to += 2 * kTile) {
    if (p.in_stride == 1) {
      __m512i rows[16];
      for (int64_t o = 0; o < 16; ++o)
        rows[o] =
            (o < outs ? Values::load(from + o * p.out_stride, ins) : Values::zero()).part(part);
      transpose_words(rows);
      for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(to + i * 32, rows[i]);
    } else {
      for (int64_t i = 0; i < 16; ++i) {
        const auto row = [&](int64_t k) { return k < ins ? from + k * p.in_stride : nullptr; };
        const Values pair = Values::load(row(2 * i), row(2 * i + 1), outs);
        _mm512_store_si512(to + i * 32, interleave_halves(pair.part(part)));
      }
    }
  }
}

// sums = the products of all steps: tiles 0 and 1 are the first 16 pixels by 16 channels each, 2
// and 3 the second. They stay in their tiles throughout; weights stream out of the L2 cache.
template <int kParts>
void multiply_steps(const bf16* first, const bf16* second, int64_t part_size,
                    const std::vector<Step>& steps, const bf16* weights, float* sums) {
  zero_sums();
  for (const Step& step : steps) {
    const bf16 *a = first + step.left, *b = second + step.left;
    if constexpr (kParts == 2) {
      multiply_tiles(a + part_size, b + part_size, weights, weights + kTile);
      multiply_tiles_by_last_right(a, b);
      multiply_last_left_by(weights + 2 * kTile, weights + 3 * kTile);
    } else {
      multiply_tiles(a, b, weights, weights + kTile);
    }
    weights += kParts * 2 * kTile;
    keep_vector_unit_awake();
  }
  store_sums(sums, 512, 256, 64);
}

inline __m512 load_lanes(const float* p, __mmask16 lanes) {
  return _mm512_maskz_loadu_ps(lanes, p);
}
inline __m512 load_lanes(const bf16* p, __mmask16 lanes) {
  return widen(_mm256_maskz_loadu_epi16(lanes, p));
}
inline void store_lanes(float* p, __mmask16 lanes, __m512 x) { _mm512_mask_storeu_ps(p, lanes, x); }
inline void store_lanes(bf16* p, __mmask16 lanes, __m512 x) {
  _mm256_mask_storeu_epi16(p, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

template <class T>
struct Output {
  const float* bias;
  const T *per_sample, *residual;
  T* out;
};

// 32 channels of 16 pixels: the sums of two tiles, what is added to them, and where they go.
template <class T>
void write_tile(const Plan& p, const Lattice& l, const Cut& cut, const Output<T>& o, int64_t group,
                int64_t row, int64_t begin, int64_t first_channel, const float* sums) {
  const int64_t channels = p.out_channels, images = cut.group;
  const auto lanes_from = [&](int64_t channel) {
    const int64_t rest = std::clamp<int64_t>(channels - channel, 0, 16);
    return static_cast<__mmask16>((1 << rest) - 1);
  };
  const __mmask16 low = lanes_from(first_channel), high = lanes_from(first_channel + 16);
  const __m512 zero = _mm512_setzero_ps();
  const __m512 low_bias = o.bias ? load_lanes(o.bias + first_channel, low) : zero;
  const __m512 high_bias = o.bias ? load_lanes(o.bias + first_channel + 16, high) : zero;

  const int64_t first_image = group * images, existing = std::min(images, p.images - first_image);
  const int64_t image_size = p.out_height * p.out_width * channels, step = l.step * channels;
  const int64_t line = first_image * image_size + first_channel +
                       ((l.top + row * l.step) * p.out_width + l.left) * channels;
  T* const out = o.out + line;
  const T* const residual = o.residual ? o.residual + line : nullptr;
  const T* const per_sample =
      o.per_sample ? o.per_sample + first_image * channels + first_channel : nullptr;
  int64_t column = begin / images, image = begin % images;
  int64_t position = std::min<int64_t>(kTileRows, l.columns * images - begin);
  for (; position > 0; --position, sums += 16) {
    if (image < existing) {
      const int64_t place = image * image_size + column * step;
      __m512 y = _mm512_add_ps(_mm512_load_ps(sums), low_bias);
      __m512 z = _mm512_add_ps(_mm512_load_ps(sums + 256), high_bias);
      if (per_sample) {
        y = _mm512_add_ps(y, load_lanes(per_sample + image * channels, low));
        z = _mm512_add_ps(z, load_lanes(per_sample + image * channels + 16, high));
      }
      if (residual) {
        y = _mm512_add_ps(y, load_lanes(residual + place, low));
        z = _mm512_add_ps(z, load_lanes(residual + place + 16, high));
      }
      store_lanes(out + place, low, y);
      store_lanes(out + place + 16, high, z);
    }
    if (++image == images) image = 0, ++column;
  }
}

// (panel of 32 channels out, step): tiles of weights in the order in which steps want them.
template <class Values>
Tensor pack_weights(const Plan& p, const Cut& cut, const typename Values::T* weight) {
  constexpr int64_t kStepWeights = Values::kParts * 2 * kTile;
  const int64_t steps = static_cast<int64_t>(cut.steps.size());
  const int64_t panels = divide_up(p.out_channels, kPanel);
  const Tensor packed = Tensor::empty({panels, steps, kStepWeights}, DType::kBf16, Device::kCpu);
  bf16* const to = packed.data<bf16>();
  parallel_for(panels * steps, [&](int64_t i) {
    const Step& step = cut.steps[static_cast<size_t>(i % steps)];
    for (int64_t half = 0; half < 2; ++half)
      pack_weight_tile<Values>(p, weight + step.tap * p.tap_stride, step.block * kTileDepth,
                               i / steps * kPanel + half * kTileRows,
                               to + i * kStepWeights + half * kTile);
  });
  return packed;
}

template <class Values>
void run_lattice(const Plan& p, const Lattice& l, const Cut& cut, const typename Values::T* in,
                 const bf16* weights, const Output<typename Values::T>& output) {
  constexpr int kParts = Values::kParts;
  constexpr int64_t kStepWeights = kParts * 2 * kTile;
  const int64_t steps = static_cast<int64_t>(cut.steps.size());
  const int64_t panels = divide_up(p.out_channels, kPanel);

  // Few pieces share out the panels.
  const int64_t panel_pieces = cut.pieces() < 8 ? std::min<int64_t>(panels, 8) : 1;
  const int64_t sums_at = kParts * cut.part_size;
  const int64_t elements = sums_at + kSums * 2;
  parallel_for_scratch<bf16>(cut.pieces() * panel_pieces, elements, [&](int64_t i, bf16* packed) {
    const TileScope tiles_of_this_thread;
    const int64_t piece = i / panel_pieces, first_row = piece % cut.row_pieces * cut.piece_rows;
    const int64_t first_group = piece / cut.row_pieces * cut.piece_groups;
    copy_piece<Values>(p, l, cut, in, first_row, first_group, packed);
    float* const sums = reinterpret_cast<float*>(packed + sums_at);
    const int64_t rows = std::min(cut.piece_rows, l.rows - first_row);
    const int64_t group_tiles = rows * cut.row_tiles;
    const int64_t tiles = std::min(cut.piece_groups, cut.groups - first_group) * group_tiles;
    const auto left = [&](int64_t tile) {
      const int64_t rest = tile % group_tiles;
      return packed + tile / group_tiles * cut.group_size +
             (rest / cut.row_tiles * cut.width * cut.group + rest % cut.row_tiles * kTileRows) *
                 kTileDepth;
    };
    for (int64_t panel = i % panel_pieces; panel < panels; panel += panel_pieces)
      for (int64_t first = 0; first < tiles; first += 2) {
        const int64_t last = std::min(tiles, first + 2);
        multiply_steps<kParts>(left(first), left(last - 1), cut.part_size, cut.steps,
                               weights + panel * steps * kStepWeights, sums);
        for (int64_t tile = first; tile < last; ++tile) {
          const int64_t rest = tile % group_tiles;
          write_tile(p, l, cut, output, first_group + tile / group_tiles,
                     first_row + rest / cut.row_tiles, rest % cut.row_tiles * kTileRows,
                     panel * kPanel, sums + (tile - first) * (kSums / 2));
        }
      }
  });
}

template <class Values>
void run(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& o) {
  using T = typename Values::T;
  const bool is_forward = pass == Conv2dPass::kForward;
  const Tensor &in = is_forward ? o.x : o.y, &out = is_forward ? o.y : o.x;
  const auto optional = []<class U>(const Tensor& t, U*) { return t ? t.data<U>() : nullptr; };
  const Output<T> output{optional(o.bias, static_cast<float*>(nullptr)),
                         optional(o.per_sample, static_cast<T*>(nullptr)),
                         optional(o.residual, static_cast<T*>(nullptr)), out.data<T>()};
  const Plan plan = make_plan(pass, problem);
  // Packing does not depend on the images: weights that stay the same are packed once.
  const auto packed = prepared_weights(pass, o.weight);
  for (size_t i = 0; i < plan.lattices.size(); ++i) {
    const Lattice& lattice = plan.lattices[i];
    const Cut cut(plan, lattice, Values::kParts);
    if (packed->lattices.size() == i)
      packed->lattices.push_back(pack_weights<Values>(plan, cut, o.weight.data<T>()));
    run_lattice<Values>(plan, lattice, cut, in.data<T>(), packed->lattices[i].template data<bf16>(),
                        output);
  }
}

void run(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands) {
  if (problem.dtype == DType::kBf16)
    run<Bf16Values>(pass, problem, operands);
  else
    run<F32Values>(pass, problem, operands);
}

}  // namespace
}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {
namespace {

// Where padding to 32 channels would do more than twice the work, other algorithms are faster.
bool fills_tiles(const Conv2dProblem& p) {
  const auto padded = [](int64_t channels) { return divide_up(channels, 32) * 32; };
  return padded(p.in_channels) * padded(p.out_channels) <= 12 * p.in_channels * p.out_channels;
}

}  // namespace

bool amx_bf16_supports(const Conv2dProblem& p) {
  return p.dtype == DType::kBf16 && fills_tiles(p) && has_amx();
}
bool amx_bf16x3_supports(const Conv2dProblem& p) {
  return p.dtype == DType::kF32 && fills_tiles(p) && has_amx();
}

void amx_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run(Conv2dPass::kForward, problem, operands);
}
void amx_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run(Conv2dPass::kBackwardData, problem, operands);
}

}  // namespace ddpm::cpu
#endif
