// The one thing that EXIF says and that changes an image: how the camera was held.
#pragma once

#include <cstddef>
#include <span>

#include "framework/io/png.h"

namespace ddpm {

// The orientation 1 .. 8 that a block of EXIF (a TIFF header and its directories) names; 1,
// upright, where it names none or is damaged, as every viewer takes it.
int exif_orientation(std::span<const std::byte> tiff);

// The upright image of one that was stored in this orientation.
Image upright(Image stored, int orientation);

}  // namespace ddpm
