// JPEG images, by libjpeg.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "framework/io/png.h"

namespace ddpm {

// Grey and RGB, turned upright as EXIF says; colour profiles are ignored. CMYK is refused: without
// its profile nobody knows which colours are meant. So is every image whose data are damaged or end
// early, which libjpeg alone would fill up with grey. `name` is what messages call the bytes.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name,
                  int64_t max_bytes = kMaxImageBytes);

}  // namespace ddpm
