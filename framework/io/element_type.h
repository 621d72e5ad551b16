// The element types of tensor files by other programs, and what they become here: those that this
// project has stay what they are, the others are widened to the next that holds all their values
// (f16 to f32, i16 and i8 to i32, bool to u8). All files are little-endian.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "framework/core/tensor.h"

namespace ddpm {

enum class ElementType : uint8_t { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU8, kBool };

size_t size_of(ElementType type);  // bytes in the file
const char* name_of(ElementType type);
DType widened(ElementType type);

// Fills the span with the next bytes of a file, or throws.
using ByteSource = std::function<void(std::span<std::byte>)>;
// The elements that follow, in row-major order, as a tensor of widened(type) in host memory. Check
// the shape first: memory is asked for before the first byte is read.
Tensor read_elements(ElementType type, const Shape& shape, const ByteSource& next);

// Of at most Shape::kMaxRank extents.
Shape shape_of(std::span<const int64_t> extents);
// The same for what a file claims. A UserError that begins with `what` if they are more than a
// Shape has, negative, or if their elements need more than `max_bytes`.
Shape checked_shape(const std::string& what, std::span<const int64_t> extents, ElementType type,
                    size_t max_bytes);

}  // namespace ddpm
