#include "framework/io/element_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace ddpm {

namespace {

static_assert(std::endian::native == std::endian::little, "tensor files are read as they are");

struct Description {
  const char* name;
  size_t bytes;
  DType becomes;
};

Description describe(ElementType type) {
  switch (type) {
    case ElementType::kF64: return {"f64", 8, DType::kF64};
    case ElementType::kF32: return {"f32", 4, DType::kF32};
    case ElementType::kF16: return {"f16", 2, DType::kF32};
    case ElementType::kBf16: return {"bf16", 2, DType::kBf16};
    case ElementType::kI64: return {"i64", 8, DType::kI64};
    case ElementType::kI32: return {"i32", 4, DType::kI32};
    case ElementType::kI16: return {"i16", 2, DType::kI32};
    case ElementType::kI8: return {"i8", 1, DType::kI32};
    case ElementType::kU8: return {"u8", 1, DType::kU8};
    case ElementType::kBool: return {"bool", 1, DType::kU8};
  }
  return {"?", 0, DType::kU8};
}

// IEEE 754 binary16; every value, subnormals, infinities and NaN payloads too, is an f32.
float widen_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

template <class From, class To, class Convert>
void convert(std::span<const std::byte> from, To* to, const Convert& converted) {
  for (size_t i = 0; i < from.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof value);
    to[i] = converted(value);
  }
}

void widen(ElementType type, std::span<const std::byte> from, const Tensor& to) {
  switch (type) {
    case ElementType::kF16: return convert<uint16_t>(from, to.data<float>(), widen_half);
    case ElementType::kI16:
      return convert<int16_t>(from, to.data<int32_t>(), [](int16_t x) { return x; });
    case ElementType::kI8:
      return convert<int8_t>(from, to.data<int32_t>(), [](int8_t x) { return x; });
    default: DDPM_ASSERT(false, "{} is read as it is", name_of(type));
  }
}

}  // namespace

size_t size_of(ElementType type) { return describe(type).bytes; }
const char* name_of(ElementType type) { return describe(type).name; }
DType widened(ElementType type) { return describe(type).becomes; }

Tensor read_elements(ElementType type, const Shape& shape, const ByteSource& next) {
  Tensor values = Tensor::empty(shape, widened(type), Device::kCpu);
  const int64_t count = shape.numel();
  if (size_of(type) == size_of(values.dtype())) {
    next(std::span(values.raw(), values.bytes()));
    return values;
  }
  constexpr int64_t kPiece = 1 << 16;  // elements
  std::vector<std::byte> piece;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    const int64_t n = std::min(kPiece, count - begin);
    piece.resize(static_cast<size_t>(n) * size_of(type));
    next(piece);
    widen(type, piece, values.view(begin, {n}));
  }
  return values;
}

Shape shape_of(std::span<const int64_t> e) {
  switch (e.size()) {
    case 0: return {};
    case 1: return {e[0]};
    case 2: return {e[0], e[1]};
    case 3: return {e[0], e[1], e[2]};
    default: return {e[0], e[1], e[2], e[3]};
  }
}

Shape checked_shape(const std::string& what, std::span<const int64_t> extents, ElementType type,
                    size_t max_bytes) {
  DDPM_CHECK(extents.size() <= Shape::kMaxRank, "{} has {} extents, at most {} are allowed", what,
             extents.size(), Shape::kMaxRank);
  // Divided, not multiplied: products of hostile extents overflow. Those beside a zero need no
  // bytes, but are bounded all the same.
  constexpr size_t kMaxEmpty = size_t{1} << 40;
  const bool is_empty = std::find(extents.begin(), extents.end(), 0) != extents.end();
  size_t room = is_empty ? kMaxEmpty : max_bytes / size_of(type);
  for (const int64_t extent : extents) {
    DDPM_CHECK(extent >= 0, "{} has the negative extent {}", what, extent);
    DDPM_CHECK(static_cast<size_t>(extent) <= room,
               "{} of shape ({}) and type {} needs more than the {} bytes that the file has for it",
               what, fmt::join(extents, ", "), name_of(type), max_bytes);
    room /= static_cast<size_t>(std::max<int64_t>(extent, 1));
  }
  return shape_of(extents);
}

}  // namespace ddpm
