// Element types and devices.
#pragma once

#include <cstddef>
#include <cstdint>

#include "framework/core/bf16.h"

namespace ddpm {

enum class DType : uint8_t { kF32, kF64, kBf16, kI32, kI64, kU8 };
enum class Device : uint8_t { kCpu, kCuda };

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::kF64:
    case DType::kI64: return 8;
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBf16: return 2;
    case DType::kU8: return 1;
  }
  return 0;
}

constexpr const char* name_of(DType t) {
  switch (t) {
    case DType::kF32: return "f32";
    case DType::kF64: return "f64";
    case DType::kBf16: return "bf16";
    case DType::kI32: return "i32";
    case DType::kI64: return "i64";
    case DType::kU8: return "u8";
  }
  return "?";
}

// The type of norm statistics, parameter gradients and biases where activations are of type `t`.
constexpr DType accumulator_of(DType t) { return t == DType::kBf16 ? DType::kF32 : t; }

constexpr const char* name_of(Device d) { return d == Device::kCpu ? "cpu" : "cuda"; }

// dtype_of<float>: the DType whose elements are of the C++ type T.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::kBf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace ddpm
