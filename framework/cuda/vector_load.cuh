// Packed<T>: sixteen bytes of T, what one thread moves at best in one instruction (llm.c's
// Packed128). Packed<T, 1> is one element, for rows that cannot be moved in packs.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "framework/core/bf16.h"

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

// kWidth neighbours in the type they are computed in; sixteen bytes at a time where kWidth is a
// multiple of a pack, and one by one where it is 1.
template <class T, int kWidth>
__device__ void load_values(const T* address, Accumulator<T> (&values)[kWidth]) {
  constexpr int kSize = kWidth < Packed<T>::kSize ? kWidth : Packed<T>::kSize;
#pragma unroll
  for (int i = 0; i < kWidth; i += kSize) {
    const auto pack = load_packed<T, kSize>(address + i);
#pragma unroll
    for (int k = 0; k < kSize; ++k) values[i + k] = pack.v[k];
  }
}
template <class T, int kWidth>
__device__ void store_values(T* address, const Accumulator<T> (&values)[kWidth]) {
  constexpr int kSize = kWidth < Packed<T>::kSize ? kWidth : Packed<T>::kSize;
#pragma unroll
  for (int i = 0; i < kWidth; i += kSize) {
    Packed<T, kSize> pack;
#pragma unroll
    for (int k = 0; k < kSize; ++k) pack.v[k] = values[i + k];
    store_packed(address + i, pack);
  }
}

// Where an element of a matrix lies; outside of it, it is zero and the address is not read.
template <class T>
struct Place {
  const T* address;
  bool is_inside;
};

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
