// The bits of philox.h for a run of elements, sixteen counters side by side so that the compiler
// vectorises the rounds: four times as fast as one counter after the other on AVX-512.
#pragma once

#include <cstdint>

#include "framework/random/philox.h"

namespace ddpm {

inline constexpr int kPhiloxBlock = 64;  // elements: sixteen counters of four words

// bits[i] belongs to element first + i of the row; `first` is a multiple of four.
inline void philox_block(uint64_t seed, DrawId id, uint32_t first, uint32_t* __restrict bits) {
  constexpr int kLanes = kPhiloxBlock / 4;
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int l = 0; l < kLanes; ++l) {
    c0[l] = first / 4 + static_cast<uint32_t>(l);
    c1[l] = id.row;
    c2[l] = id.step;
    c3[l] = id.site;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < kLanes; ++l) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[l];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[l];
      c0[l] = static_cast<uint32_t>(p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = static_cast<uint32_t>(p1);
      c2[l] = static_cast<uint32_t>(p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int l = 0; l < kLanes; ++l) {
    bits[4 * l] = c0[l];
    bits[4 * l + 1] = c1[l];
    bits[4 * l + 2] = c2[l];
    bits[4 * l + 3] = c3[l];
  }
}

// Dropout keeps an element when its 32 bits reach this threshold.
DDPM_HD inline uint32_t dropout_threshold(double rate) {
  return static_cast<uint32_t>(rate * 4294967296.0);
}

}  // namespace ddpm
