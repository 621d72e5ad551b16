// The matrix unit of recent Xeons (AMX): eight tile registers of 16 rows by 64 bytes, and one
// instruction that adds the product of two bf16 tiles to an f32 tile. For sources that compile
// their kernels for it; which processor has it is asked at run time.
#pragma once

#if defined(__x86_64__)
#include <cstdint>

#include "framework/core/intrinsics.h"

namespace ddpm::cpu {

// Whether the processor has AMX with bf16 and the operating system lets this process use it (the
// first call asks for permission).
bool has_amx();

inline constexpr int kTileRows = 16;   // of every tile
inline constexpr int kTileDepth = 32;  // bf16 elements of a row of an operand

#pragma GCC push_options
#pragma GCC target("amx-tile")
// Makes the eight tiles of this thread 16 x 64 bytes for as long as it lives.
class TileScope {
 public:
  TileScope() {
    // Static: g++ 12 believes that the instruction reads 8 bytes, and would not store the others.
    static constexpr struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config{};
    _tile_loadconfig(&config);
  }
  ~TileScope() { _tile_release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};
#pragma GCC pop_options

}  // namespace ddpm::cpu
#endif
