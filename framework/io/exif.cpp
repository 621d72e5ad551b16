#include "framework/io/exif.h"

#include <algorithm>
#include <utility>

namespace ddpm {
namespace {

constexpr unsigned kOrientationTag = 0x0112, kShort = 3;

// An unsigned number of `size` bytes at `offset`; zero beyond the end.
size_t number(std::span<const std::byte> bytes, size_t offset, size_t size, bool little) {
  if (offset > bytes.size() || bytes.size() - offset < size) return 0;
  size_t value = 0;
  for (size_t i = 0; i < size; ++i)
    value = value << 8 | std::to_integer<size_t>(bytes[offset + (little ? size - 1 - i : i)]);
  return value;
}

}  // namespace

int exif_orientation(std::span<const std::byte> tiff) {
  const size_t order = number(tiff, 0, 2, false);
  const bool little = order == 0x4949;
  if ((!little && order != 0x4d4d) || number(tiff, 2, 2, little) != 42) return 1;
  const size_t directory = number(tiff, 4, 4, little);
  const size_t entries = number(tiff, directory, 2, little);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (number(tiff, entry, 2, little) != kOrientationTag) continue;
    const size_t value = number(tiff, entry + 8, 2, little);
    const bool valid = number(tiff, entry + 2, 2, little) == kShort && value >= 1 && value <= 8;
    return valid ? static_cast<int>(value) : 1;
  }
  return 1;
}

// The standard says on which side of the scene the first row and the first column of the stored
// image lie: 6, for example, has the first row at the right and the first column at the top.
Image upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const bool transposed = orientation >= 5;
  const bool rows_reversed =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool columns_reversed = orientation == 2 || orientation == 3 || orientation >= 7;
  const int64_t rows = stored.shape[0], columns = stored.shape[1], channels = stored.shape[2];
  Image image{transposed ? Shape{columns, rows, channels} : stored.shape, {}};
  image.pixels.resize(stored.pixels.size());
  uint8_t* out = image.pixels.data();
  for (int64_t y = 0; y < image.shape[0]; ++y)
    for (int64_t x = 0; x < image.shape[1]; ++x) {
      int64_t row = transposed ? x : y, column = transposed ? y : x;
      if (rows_reversed) row = rows - 1 - row;
      if (columns_reversed) column = columns - 1 - column;
      out = std::copy_n(stored.pixels.data() + (row * columns + column) * channels, channels, out);
    }
  return image;
}

}  // namespace ddpm
