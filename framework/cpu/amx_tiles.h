// Tiles, and how operands are laid out for them: for sources that compile code for the matrix unit
// (conv2d_amx*.cpp, attention_amx.cpp), which include this file under their `#pragma GCC target`
// after every other header: what is defined here uses AVX-512.
//
// `Parts` is 1 for bf16 problems, and 2 (high, low) for f32 ones.

namespace ddpm::cpu {
namespace {

constexpr int64_t kTile = kTileRows * kTileDepth;  // elements of an operand's tile

// Tiles 0 to 3 are 2 x 2 sums, 4 and 5 the two left operands, 6 and 7 the two right ones. GCC's
// intrinsics are statements that want the number of a tile as a literal.
inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
// A tile is loaded just before it is used: loads and products overlap.
inline void multiply_last_left_by(const bf16* first, const bf16* second) {
  _tile_loadd(6, first, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(2, 5, 6);
  _tile_loadd(7, second, 64);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(3, 5, 7);
}
inline void multiply_tiles_by_last_right(const bf16* first, const bf16* second) {
  _tile_loadd(4, first, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_loadd(5, second, 64);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}
inline void multiply_tiles(const bf16* left, const bf16* second_left, const bf16* right,
                           const bf16* second_right) {
  _tile_loadd(4, left, 64);
  _tile_loadd(6, right, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_loadd(7, second_right, 64);
  _tile_dpbf16ps(1, 4, 7);
  _tile_loadd(5, second_left, 64);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}
// A processor that has executed nothing but tile instructions for 0.7 us takes 0.3 us to execute
// the next vector instruction, which costs a sixth of the time of a sum of 72 products (measured on
// Granite Rapids). One addition every now and then avoids it.
inline void keep_vector_unit_awake() {
  __m512 x = _mm512_setzero_ps();
  asm volatile("vaddps %0, %0, %0" : "+v"(x));
}
// Adds the products of one step: left and right operands are two tiles each, whose low parts, if
// there are any, lie left_part and right_part elements behind them.
template <int kParts>
void multiply_step(const bf16* left, const bf16* second_left, int64_t left_part, const bf16* right,
                   const bf16* second_right, int64_t right_part) {
  if constexpr (kParts == 2) {
    multiply_tiles(left + left_part, second_left + left_part, right, second_right);
    multiply_tiles_by_last_right(left, second_left);
    multiply_last_left_by(right + right_part, second_right + right_part);
  } else {
    multiply_tiles(left, second_left, right, second_right);
  }
}
// The sums are (2, 2) tiles of 16 rows, `down` and `right` elements from one another.
inline void store_sums(float* sums, int64_t down, int64_t right, int64_t stride_bytes) {
  _tile_stored(0, sums, stride_bytes);
  _tile_stored(1, sums + right, stride_bytes);
  _tile_stored(2, sums + down, stride_bytes);
  _tile_stored(3, sums + down + right, stride_bytes);
}

inline __m512 widen(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline __m512i round_pair(__m512 high_lanes, __m512 low_lanes) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high_lanes, low_lanes));
}

// A mask of the first `count` of 32 lanes (or of 16): none where padding has gone beyond the end.
inline uint32_t first_lanes(int64_t count) {
  return count >= 32 ? 0xffffffffu : count <= 0 ? 0 : (1u << count) - 1u;
}

// 32 values on their way into a tile: two vectors of f32, or their bits as bf16.
template <int kParts_>
struct SplitValues {
  static constexpr int kParts = kParts_;
  using T = float;
  __m512 low_lanes, high_lanes;

  static SplitValues zero() { return {_mm512_setzero_ps(), _mm512_setzero_ps()}; }
  // The first `count` of 32 neighbours, zeros behind them.
  static SplitValues load(const float* p, int64_t count) {
    const uint32_t mask = first_lanes(count);
    return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p),
            _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), p + 16)};
  }
  // 16 neighbours of each.
  static SplitValues load(const float* first, const float* second, int64_t count) {
    const auto mask = static_cast<__mmask16>(first_lanes(count));
    return {first ? _mm512_maskz_loadu_ps(mask, first) : _mm512_setzero_ps(),
            second ? _mm512_maskz_loadu_ps(mask, second) : _mm512_setzero_ps()};
  }
  __m512i part(int i) const {
    const __m512i high = round_pair(high_lanes, low_lanes);
    if (i == 0) return high;
    return round_pair(_mm512_sub_ps(high_lanes, widen(_mm512_extracti64x4_epi64(high, 1))),
                      _mm512_sub_ps(low_lanes, widen(_mm512_castsi512_si256(high))));
  }
};

using F32Values = SplitValues<2>;
using RoundedValues = SplitValues<1>;

struct Bf16Values {
  static constexpr int kParts = 1;
  using T = bf16;
  __m512i bits;

  static Bf16Values zero() { return {_mm512_setzero_si512()}; }
  static Bf16Values load(const bf16* p, int64_t count) {
    const uint32_t mask = first_lanes(count);
    return {_mm512_maskz_loadu_epi16(mask, p)};
  }
  static Bf16Values load(const bf16* first, const bf16* second, int64_t count) {
    const auto mask = static_cast<__mmask16>(first_lanes(count));
    const __m256i low = first ? _mm256_maskz_loadu_epi16(mask, first) : _mm256_setzero_si256();
    const __m256i high = second ? _mm256_maskz_loadu_epi16(mask, second) : _mm256_setzero_si256();
    return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
  }
  __m512i part(int) const { return bits; }
};

// (a0 .. a15 b0 .. b15) -> (a0 b0 a1 b1 ...): a row of pairs of the right operand.
inline __m512i interleave_halves(__m512i x) {
  alignas(64) static constexpr uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                      21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                      11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), x);
}

// Words (first[c], second[c]) of 16 of 32 columns: a row of the right operand, of two rows.
template <int kHalf>
__m512i pair_up(__m512i first, __m512i second) {
  alignas(64) static constexpr auto kOrder = [] {
    std::array<uint16_t, 32> order{};
    for (int c = 0; c < 16; ++c) {
      order[2 * c] = static_cast<uint16_t>(16 * kHalf + c);
      order[2 * c + 1] = static_cast<uint16_t>(32 + 16 * kHalf + c);
    }
    return order;
  }();
  return _mm512_permutex2var_epi16(first, _mm512_load_si512(kOrder.data()), second);
}

// Transposes 16 rows of 16 32-bit words.
inline void transpose_words(__m512i (&row)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    row[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    row[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    row[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    row[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(row[i], row[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(row[i], row[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(row[i + 8], row[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(row[i + 8], row[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    row[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    row[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    row[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    row[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

}  // namespace
}  // namespace ddpm::cpu
