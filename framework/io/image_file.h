// Image files of the formats that data sets come in.
#pragma once

#include <string>

#include "framework/io/png.h"

namespace ddpm {

// A PNG or JPEG image, told apart by their first bytes, whatever the file is called; upright as
// EXIF says. UserError naming the file when it is neither, is damaged, or has what png.h and jpeg.h
// refuse.
Image read_image(const std::string& path, int64_t max_bytes = kMaxImageBytes);

}  // namespace ddpm
