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
#include <vector>

#include "framework/cpu/conv2d_amx_plan.h"
#include "framework/cpu/kept_weights.h"
#include "framework/cpu/scratch.h"

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
  const auto store = [&](const Values& values) {
    for (int i = 0; i < Values::kParts; ++i) _mm512_store_si512(to + i * part_size, values.part(i));
    to += block_size;
  };
  if (!pixel) {
    for (int64_t c = 0; c < channels; c += kTileDepth) store(Values::zero());
    return;
  }
  int64_t c = 0;
  for (; c + kTileDepth <= channels; c += kTileDepth)
    store(Values::load(pixel + c, kTileDepth));  // without a mask: none is needed
  if (c < channels) store(Values::load(pixel + c, channels - c));
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

// Adds what is to be added to the sums of a pair of tiles, and writes them, some pixels at a time:
// while the next pair is multiplied, which leaves the vector unit idle.
template <class T>
class PairWriter {
 public:
  PairWriter(const Output<T>& output, int64_t channels) : o_(output), channels_(channels) {}

  // sums: (2 tiles of pixels, 2 tiles of channels, 16, 16); pixels: 32
  void begin(const float* sums, const Pixel* pixels, int64_t first_channel) {
    sums_ = sums, pixels_ = pixels, first_channel_ = first_channel, next_ = 0;
    low_ = lanes_from(first_channel);
    high_ = lanes_from(first_channel + 16);
    low_bias_ = high_bias_ = _mm512_setzero_ps();
    if (!o_.bias) return;
    low_bias_ = load_lanes(o_.bias + first_channel, low_);
    high_bias_ = load_lanes(o_.bias + first_channel + 16, high_);
  }
  void write(int64_t count) {
    const int64_t last = std::min<int64_t>(2 * kTileRows, next_ + count);
    for (; next_ < last; ++next_) {
      const Pixel pixel = pixels_[next_];
      if (pixel.index < 0) continue;
      const float* const sums = sums_ + next_ / kTileRows * 512 + next_ % kTileRows * 16;
      const int64_t place = pixel.index * channels_ + first_channel_;
      __m512 low = _mm512_add_ps(_mm512_load_ps(sums), low_bias_);
      __m512 high = _mm512_add_ps(_mm512_load_ps(sums + 256), high_bias_);
      if (o_.per_sample) add(o_.per_sample + pixel.image * channels_ + first_channel_, low, high);
      if (o_.residual) add(o_.residual + place, low, high);
      store_lanes(o_.out + place, low_, low);
      store_lanes(o_.out + place + 16, high_, high);
    }
  }
  void finish() { write(2 * kTileRows); }

 private:
  __mmask16 lanes_from(int64_t channel) const {
    return static_cast<__mmask16>(first_lanes(channels_ - channel));
  }
  void add(const T* from, __m512& low, __m512& high) const {
    low = _mm512_add_ps(low, load_lanes(from, low_));
    high = _mm512_add_ps(high, load_lanes(from + 16, high_));
  }

  const Output<T> o_;
  const int64_t channels_;
  const float* sums_ = nullptr;
  const Pixel* pixels_ = nullptr;
  int64_t first_channel_ = 0, next_ = 2 * kTileRows;
  __mmask16 low_ = 0, high_ = 0;
  __m512 low_bias_ = _mm512_setzero_ps(), high_bias_ = _mm512_setzero_ps();
};

// sums = the products of all steps: tiles 0 and 1 are the first 16 pixels by 16 channels each, 2
// and 3 the second. They stay in their tiles throughout; weights stream out of the L2 cache.
// Meanwhile `writer` writes the pair before.
template <int kParts, class Writer>
void multiply_steps(const bf16* first, const bf16* second, int64_t part_size,
                    const std::vector<Step>& steps, const bf16* weights, Writer& writer,
                    float* sums) {
  const int64_t pixels_per_step =
      divide_up(2 * kTileRows, std::max<int64_t>(1, static_cast<int64_t>(steps.size())));
  zero_sums();
  for (const Step& step : steps) {
    const bf16 *a = first + step.left, *b = second + step.left;
    multiply_step<kParts>(a, b, part_size, weights, weights + kTile, 2 * kTile);
    weights += kParts * 2 * kTile;
    writer.write(pixels_per_step);
    keep_vector_unit_awake();
  }
  writer.finish();
  store_sums(sums, 512, 256, 64);
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
  const int64_t sums_at = kParts * cut.part_size, pixels_at = sums_at + 2 * kSums * 2;
  const int64_t most_tiles = cut.piece_groups * cut.piece_rows * cut.row_tiles;
  const int64_t pixel_size = static_cast<int64_t>(sizeof(Pixel) / sizeof(bf16));
  const int64_t elements = pixels_at + (most_tiles + 1) * kTileRows * pixel_size;
  parallel_for_scratch<bf16>(cut.pieces() * panel_pieces, elements, [&](int64_t i, bf16* packed) {
    const TileScope tiles_of_this_thread;
    const int64_t piece = i / panel_pieces, first_row = piece % cut.row_pieces * cut.piece_rows;
    const int64_t first_group = piece / cut.row_pieces * cut.piece_groups;
    copy_piece<Values>(p, l, cut, in, first_row, first_group, packed);
    float* const both_sums = reinterpret_cast<float*>(packed + sums_at);
    Pixel* const pixels = reinterpret_cast<Pixel*>(packed + pixels_at);
    const int64_t rows = std::min(cut.piece_rows, l.rows - first_row);
    const int64_t groups = std::min(cut.piece_groups, cut.groups - first_group);
    const int64_t group_tiles = rows * cut.row_tiles, tiles = groups * group_tiles;
    list_pixels(p, l, cut, first_row, first_group, groups, rows, pixels);
    const auto left = [&](int64_t tile) {
      const int64_t rest = tile % group_tiles;
      return packed + tile / group_tiles * cut.group_size +
             (rest / cut.row_tiles * cut.width * cut.group + rest % cut.row_tiles * kTileRows) *
                 kTileDepth;
    };
    PairWriter<typename Values::T> writer(output, p.out_channels);
    float *sums = both_sums, *others = both_sums + kSums;
    for (int64_t panel = i % panel_pieces; panel < panels; panel += panel_pieces)
      for (int64_t tile = 0; tile < tiles; tile += 2) {
        multiply_steps<kParts>(left(tile), left(std::min(tile + 1, tiles - 1)), cut.part_size,
                               cut.steps, weights + panel * steps * kStepWeights, writer, sums);
        writer.begin(sums, pixels + tile * kTileRows, panel * kPanel);
        std::swap(sums, others);
      }
    writer.finish();
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
  const auto cut_of = [&](const Lattice& lattice) { return Cut(plan, lattice, Values::kParts); };
  // Packing does not depend on the images.
  const std::vector<Tensor> weights = kept_weights(o.weight, pass, [&] {
    std::vector<Tensor> packed;
    for (const Lattice& lattice : plan.lattices)
      packed.push_back(pack_weights<Values>(plan, cut_of(lattice), o.weight.data<T>()));
    return packed;
  });
  for (size_t i = 0; i < weights.size(); ++i)
    run_lattice<Values>(plan, plan.lattices[i], cut_of(plan.lattices[i]), in.data<T>(),
                        weights[i].data<bf16>(), output);
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

// Whether padding to 32 channels multiplies the work by at most that.
bool fills_tiles(const Conv2dProblem& p, int64_t most) {
  const auto padded = [](int64_t channels) { return divide_up(channels, 32) * 32; };
  return padded(p.in_channels) * padded(p.out_channels) <= most * p.in_channels * p.out_channels;
}

}  // namespace

// Even for images of three channels nothing else is faster in bf16.
bool amx_bf16_supports(const Conv2dProblem& p) {
  return p.dtype == DType::kBf16 && fills_tiles(p, 12) && has_amx();
}
bool amx_bf16x3_supports(const Conv2dProblem& p) {
  return p.dtype == DType::kF32 && fills_tiles(p, 2) && has_amx();
}

void amx_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run(Conv2dPass::kForward, problem, operands);
}
void amx_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run(Conv2dPass::kBackwardData, problem, operands);
}

}  // namespace ddpm::cpu
#endif
