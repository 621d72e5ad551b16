#include "framework/io/image_file.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "framework/core/check.h"
#include "framework/io/exif.h"
#include "framework/io/file.h"
#include "framework/io/jpeg.h"

namespace ddpm {
namespace {

using Bytes = std::span<const std::byte>;

bool has_at(Bytes bytes, size_t offset, std::string_view text) {
  return offset <= bytes.size() && text.size() <= bytes.size() - offset &&
         std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](char c, std::byte b) { return static_cast<std::byte>(c) == b; });
}

// The content of the first chunk of that type of a PNG; empty without one. A chunk is its length
// (big-endian u32), its type, its content and a checksum.
Bytes png_chunk(Bytes png, std::string_view type) {
  constexpr size_t kSignature = 8, kFrame = 12;
  for (size_t at = kSignature; at + kFrame <= png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<size_t>(png[at + i]);
    if (length > png.size() - at - kFrame) break;
    if (has_at(png, at + 4, type)) return png.subspan(at + 8, length);
    at += kFrame + length;
  }
  return {};
}

}  // namespace

Image read_image(const std::string& path, int64_t max_bytes) {
  const std::vector<std::byte> bytes = read_binary_file(path, kMaxImageBytes);
  if (has_at(bytes, 0, "\xff\xd8\xff")) return decode_jpeg(bytes, path, max_bytes);
  DDPM_CHECK(has_at(bytes, 0, "\x89PNG"), "'{}' is neither a PNG nor a JPEG image", path);
  return upright(decode_png(bytes, path, max_bytes), exif_orientation(png_chunk(bytes, "eXIf")));
}

}  // namespace ddpm
