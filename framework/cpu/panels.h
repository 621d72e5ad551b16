// How kernels that are written for any vector type cut channels.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ddpm::cpu {

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Channels are cut into panels of kVectors vectors; the last has as many vectors as it needs.
template <class Isa>
struct Panels {
  static constexpr int64_t kWidth = Isa::kVectors * Isa::kLanes;
  int64_t channels;

  int64_t count() const { return divide_up(channels, kWidth); }
  int64_t padded() const { return divide_up(channels, Isa::kLanes) * Isa::kLanes; }
  int64_t columns(int64_t panel) const { return std::min(kWidth, channels - panel * kWidth); }
  int64_t padded_columns(int64_t panel) const {
    return divide_up(columns(panel), Isa::kLanes) * Isa::kLanes;
  }
};

}  // namespace ddpm::cpu
