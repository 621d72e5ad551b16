// The bits of philox.h for a run of elements, sixteen counters side by side in vector registers.
#pragma once

#include <cstdint>

#include "framework/random/philox.h"

namespace ddpm {

inline constexpr int kPhiloxBlock = 64;  // elements: sixteen counters of four words

// bits[i] belongs to element first + i of the row; `first` is a multiple of four.
void philox_block(uint64_t seed, DrawId id, uint32_t first, uint32_t* bits);

// Dropout keeps an element when its 32 bits reach this threshold.
DDPM_HD inline uint32_t dropout_threshold(double rate) {
  return static_cast<uint32_t>(rate * 4294967296.0);
}

}  // namespace ddpm
