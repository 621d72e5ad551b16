// A function of its own and not inline: between the loops of a caller g++ does not vectorise it.

// Random123 includes the intrinsics before core/intrinsics.h could.
#pragma GCC diagnostic ignored "-Wuninitialized"
#include "framework/random/philox_block.h"

#include "framework/core/intrinsics.h"

namespace ddpm {
namespace {

// Of the rounds and of the key schedule (Salmon et al. 2011)
constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

}  // namespace

#ifdef __AVX512F__

// A word is the lower half of a 64-bit lane: one instruction makes the whole product, which g++
// does not find by itself. What upper halves hold is never looked at.
void philox_block(uint64_t seed, DrawId id, uint32_t first, uint32_t* bits) {
  constexpr int kVectors = 2, kLanes = 8;
  __m512i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  for (int v = 0; v < kVectors; ++v) {
    c0[v] = _mm512_add_epi64(lane, _mm512_set1_epi64(first / 4 + kLanes * v));
    c1[v] = _mm512_set1_epi64(id.row);
    c2[v] = _mm512_set1_epi64(id.step);
    c3[v] = _mm512_set1_epi64(id.site);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int v = 0; v < kVectors; ++v) {
      const __m512i p0 = _mm512_mul_epu32(c0[v], _mm512_set1_epi64(kMultiplier0));
      const __m512i p1 = _mm512_mul_epu32(c2[v], _mm512_set1_epi64(kMultiplier1));
      constexpr int kXor3 = 0x96;
      c0[v] =
          _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[v], _mm512_set1_epi64(k0), kXor3);
      c1[v] = p1;
      c2[v] =
          _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[v], _mm512_set1_epi64(k1), kXor3);
      c3[v] = p0;
    }
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  // The pairs of words of each counter, and then the two pairs side by side.
  const __m512i low_counters = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  const __m512i high_counters = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
  const __m512i low_half = _mm512_set1_epi64(0xffffffff);
  for (int v = 0; v < kVectors; ++v) {
    const __m512i pair01 =
        _mm512_or_si512(_mm512_and_si512(c0[v], low_half), _mm512_slli_epi64(c1[v], 32));
    const __m512i pair23 =
        _mm512_or_si512(_mm512_and_si512(c2[v], low_half), _mm512_slli_epi64(c3[v], 32));
    uint32_t* out = bits + 4 * kLanes * v;
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(pair01, low_counters, pair23));
    _mm512_storeu_si512(out + 2 * kLanes, _mm512_permutex2var_epi64(pair01, high_counters, pair23));
  }
}

#elif defined(__AVX2__)

namespace {

constexpr int kVectors = 2, kLanes = 4;  // at a time: more vectors than that leave the registers
constexpr int kPart = 4 * kLanes * kVectors;

// The same with registers of half the width, for half a block.
void philox_part(uint64_t seed, DrawId id, uint32_t first, uint32_t* bits) {
  __m256i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  for (int v = 0; v < kVectors; ++v) {
    c0[v] = _mm256_add_epi64(lane, _mm256_set1_epi64x(first / 4 + kLanes * v));
    c1[v] = _mm256_set1_epi64x(id.row);
    c2[v] = _mm256_set1_epi64x(id.step);
    c3[v] = _mm256_set1_epi64x(id.site);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int v = 0; v < kVectors; ++v) {
      const __m256i p0 = _mm256_mul_epu32(c0[v], _mm256_set1_epi64x(kMultiplier0));
      const __m256i p1 = _mm256_mul_epu32(c2[v], _mm256_set1_epi64x(kMultiplier1));
      const __m256i keyed1 = _mm256_xor_si256(c1[v], _mm256_set1_epi64x(k0));
      const __m256i keyed3 = _mm256_xor_si256(c3[v], _mm256_set1_epi64x(k1));
      c0[v] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), keyed1);
      c1[v] = p1;
      c2[v] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), keyed3);
      c3[v] = p0;
    }
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  constexpr int kUpperWords = 0xAA;
  for (int v = 0; v < kVectors; ++v) {
    const __m256i pair01 = _mm256_blend_epi32(c0[v], _mm256_slli_epi64(c1[v], 32), kUpperWords);
    const __m256i pair23 = _mm256_blend_epi32(c2[v], _mm256_slli_epi64(c3[v], 32), kUpperWords);
    const __m256i even = _mm256_unpacklo_epi64(pair01, pair23);  // counters 0 and 2
    const __m256i odd = _mm256_unpackhi_epi64(pair01, pair23);   // counters 1 and 3
    __m256i* out = reinterpret_cast<__m256i*>(bits + 4 * kLanes * v);
    _mm256_storeu_si256(out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(even, odd, 0x31));
  }
}

}  // namespace

void philox_block(uint64_t seed, DrawId id, uint32_t first, uint32_t* bits) {
  for (int begin = 0; begin < kPhiloxBlock; begin += kPart)
    philox_part(seed, id, first + static_cast<uint32_t>(begin), bits + begin);
}

#else

void philox_block(uint64_t seed, DrawId id, uint32_t first, uint32_t* bits) {
  constexpr int kLanes = kPhiloxBlock / 4;
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int l = 0; l < kLanes; ++l) {
    c0[l] = first / 4 + static_cast<uint32_t>(l);
    c1[l] = id.row;
    c2[l] = id.step;
    c3[l] = id.site;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int l = 0; l < kLanes; ++l) {
      const uint64_t p0 = uint64_t{kMultiplier0} * c0[l], p1 = uint64_t{kMultiplier1} * c2[l];
      c0[l] = static_cast<uint32_t>(p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = static_cast<uint32_t>(p1);
      c2[l] = static_cast<uint32_t>(p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = static_cast<uint32_t>(p0);
    }
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  for (int l = 0; l < kLanes; ++l) {
    bits[4 * l] = c0[l];
    bits[4 * l + 1] = c1[l];
    bits[4 * l + 2] = c2[l];
    bits[4 * l + 3] = c3[l];
  }
}

#endif

}  // namespace ddpm
