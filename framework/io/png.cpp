// libpng's simplified interface, which reports errors without setjmp; see png.h.
#include "framework/io/png.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {

namespace {

png_uint_32 format_of(int64_t channels) {
  return channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
}

void check_image(const Image& image) {
  const Shape& s = image.shape;
  DDPM_ASSERT(s.rank() == 3 && s[0] > 0 && s[1] > 0 && (s[2] == 1 || s[2] == 3 || s[2] == 4) &&
                  static_cast<int64_t>(image.pixels.size()) == s.numel(),
              "no PNG has {} values of shape {}", image.pixels.size(), s);
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name, int64_t max_bytes) {
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_imagep)> owner(&png, png_image_free);
  DDPM_CHECK(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()),
             "'{}' is not a PNG image: {}", name, png.message);
  DDPM_CHECK(!(png.format & PNG_FORMAT_FLAG_LINEAR),
             "'{}' has 16 bits per channel, only 8 are allowed", name);
  const int64_t channels = png.format & PNG_FORMAT_FLAG_ALPHA   ? 4
                           : png.format & PNG_FORMAT_FLAG_COLOR ? 3
                                                                : 1;
  // libpng bounds both extents by a million, so this cannot overflow.
  Image image{{png.height, png.width, channels}, {}};
  DDPM_CHECK(image.shape.numel() <= max_bytes, "'{}' of shape {} is too large: {} bytes allowed",
             name, image.shape, max_bytes);
  image.pixels.resize(static_cast<size_t>(image.shape.numel()));
  png.format = format_of(channels);
  DDPM_CHECK(png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr),
             "'{}' is damaged: {}", name, png.message);
  return image;
}

Image read_png(const std::string& path, int64_t max_bytes) {
  // Incompressible pixels grow by less than this.
  const auto max_file_bytes = static_cast<size_t>(max_bytes) * 2 + 65536;
  return decode_png(read_binary_file(path, max_file_bytes), path, max_bytes);
}

std::vector<std::byte> encode_png(const Image& image) {
  check_image(image);
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.height = static_cast<png_uint_32>(image.shape[0]);
  png.width = static_cast<png_uint_32>(image.shape[1]);
  png.format = format_of(image.shape[2]);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr)) {
    fail("cannot encode an image of shape {}: {}", image.shape, png.message);
  }
  bytes.resize(size);
  return bytes;
}

void write_png(const std::string& path, const Image& image) {
  write_file_atomically(path, encode_png(image));
}

Image image_grid(const Shape& shape, std::span<const uint8_t> images, int64_t columns,
                 int64_t zoom) {
  DDPM_ASSERT(shape.rank() == 4 && shape[0] > 0 && zoom > 0 && columns >= 0 &&
                  static_cast<int64_t>(images.size()) == shape.numel(),
              "no grid of {} values of shape {}, zoom {}", images.size(), shape, zoom);
  constexpr int64_t kGap = 2;
  constexpr uint8_t kWhite = 255;
  const int64_t n = shape[0], h = shape[1] * zoom, w = shape[2] * zoom, c = shape[3];
  if (columns == 0) columns = std::llround(std::ceil(std::sqrt(static_cast<double>(n))));
  columns = std::min(columns, n);
  const int64_t rows = (n + columns - 1) / columns;
  Image grid{{rows * (h + kGap) - kGap, columns * (w + kGap) - kGap, c}, {}};
  grid.pixels.assign(static_cast<size_t>(grid.shape.numel()), kWhite);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t top = i / columns * (h + kGap), left = i % columns * (w + kGap);
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        const int64_t from = ((i * shape[1] + y / zoom) * shape[2] + x / zoom) * c;
        const int64_t to = ((top + y) * grid.shape[1] + left + x) * c;
        std::copy_n(images.data() + from, c, grid.pixels.data() + to);
      }
    }
  }
  return grid;
}

}  // namespace ddpm
