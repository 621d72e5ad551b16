// Packed<T>: sixteen bytes of T, what one thread moves at best in one instruction (llm.c's
// Packed128).
#pragma once

#include <cstdint>

#include "framework/core/host_device.h"

namespace ddpm::cuda {

template <class T>
struct alignas(16) Packed {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};

template <class T>
DDPM_HD Packed<T> load_packed(const T* address) {
  return *reinterpret_cast<const Packed<T>*>(address);
}
template <class T>
DDPM_HD void store_packed(T* address, const Packed<T>& values) {
  *reinterpret_cast<Packed<T>*>(address) = values;
}

// Whether rows that start here, and are a multiple of kSize long, can be moved in packs.
inline bool is_packable(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

}  // namespace ddpm::cuda
