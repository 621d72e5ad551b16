// PNG images of 8 bits per channel, and grids of samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "framework/core/shape.h"

namespace ddpm {

struct Image {
  Shape shape;                  // (H, W, C) with C = 1 (grey), 3 (RGB) or 4 (RGBA)
  std::vector<uint8_t> pixels;  // row-major
};

inline constexpr int64_t kMaxImageBytes = int64_t{1} << 30;

// Grey, RGB and RGBA as stored; palettes are expanded and grey with alpha becomes RGBA. Other than
// 8 bits per channel is refused: scaling 16 bits would guess at what the values mean.
Image read_png(const std::string& path, int64_t max_bytes = kMaxImageBytes);
// `name` is what messages call the bytes.
Image decode_png(std::span<const std::byte> bytes, const std::string& name,
                 int64_t max_bytes = kMaxImageBytes);

std::vector<std::byte> encode_png(const Image& image);
void write_png(const std::string& path, const Image& image);

// Tiles `images` of shape (N, H, W, C), row by row, with white lines of 2 pixels between them.
// `columns` = 0 is the nearest to a square; every pixel becomes zoom x zoom pixels.
Image image_grid(const Shape& shape, std::span<const uint8_t> images, int64_t columns = 0,
                 int64_t zoom = 1);

}  // namespace ddpm
