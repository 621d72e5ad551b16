// Packed<T>: sixteen bytes of T, what one thread moves at best in one instruction (llm.c's
// Packed128). Packed<T, 1> is one element, for rows that cannot be moved in packs.
#pragma once

#include <cstdint>
#include <type_traits>

#include "framework/core/host_device.h"

namespace ddpm::cuda {

template <class T, int kCount = 16 / static_cast<int>(sizeof(T))>
struct alignas(sizeof(T) * kCount) Packed {
  static constexpr int kSize = kCount;
  T v[kCount];
};

template <class T, int kCount = Packed<T>::kSize>
DDPM_HD Packed<T, kCount> load_packed(const T* address) {
  return *reinterpret_cast<const Packed<T, kCount>*>(address);
}
template <class T, int kCount>
DDPM_HD void store_packed(T* address, const Packed<T, kCount>& values) {
  *reinterpret_cast<Packed<T, kCount>*>(address) = values;
}

// Whether rows that start here, and are a multiple of kSize long, can be moved in packs.
inline bool is_packable(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

// body(std::integral_constant<int, width>) for the widest packs in which rows of `length` elements
// of type T that start at these addresses can be moved: 16 bytes or one element.
template <class T, class Body, class... Addresses>
void with_width(int64_t length, Body body, const Addresses*... addresses) {
  constexpr int kPacked = Packed<T>::kSize;
  if (length % kPacked == 0 && (is_packable(addresses) && ...))
    body(std::integral_constant<int, kPacked>{});
  else
    body(std::integral_constant<int, 1>{});
}

}  // namespace ddpm::cuda
