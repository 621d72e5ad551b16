// bf16: the upper half of an f32, with 8 bits of exponent and 8 of significand (one implied). A
// storage type: every value that is read becomes an f32, arithmetic and sums happen there, and a
// result is rounded once where it is written. There is no `+=` on purpose: sums need an
// Accumulator.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "framework/core/host_device.h"

namespace ddpm {

struct bf16 {
  uint16_t bits;

  bf16() = default;
  // To the nearest, ties to even; a NaN stays one.
  DDPM_HD bf16(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    const uint32_t rounded = (word + 0x7fffu + (word >> 16 & 1u)) >> 16;
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? (word >> 16 | 0x40u) : rounded);
#endif
  }
  DDPM_HD operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
  }
};
static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16>);

// What values of type T are computed and summed in.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

}  // namespace ddpm
