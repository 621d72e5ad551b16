// Masks: which pixels of an image an edit redraws and which it keeps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/core/shape.h"

namespace ddpm {

// "center, outside, ..." with what they redraw, for messages and help.
std::string known_masks();

// For images (H, W, C): a number for every pixel, (H, W), 1 where it is redrawn. `mask` is a name,
// box:TOP,LEFT,HEIGHT,WIDTH in pixels, or a PNG of H x W pixels, white where it is redrawn and
// black where it is kept. UserError for anything else, and for a mask that leaves nothing to do or
// nothing to go by.
std::vector<uint8_t> read_mask(const std::string& mask, const Shape& image_shape);

}  // namespace ddpm
