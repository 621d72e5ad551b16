// What a config may ask of a data set after it was read. All are exact integer arithmetic, so that
// a config names the same bytes everywhere.
#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace ddpm {

// Moves `count` images of `train`, chosen by a fixed keyed permutation of their indices, to the
// empty split `test`; both keep their order.
void hold_out(Dataset& dataset, int64_t count);

// Keeps the first `count` training images; the held-out split stays whole.
void limit(Dataset& dataset, int64_t count);

// kPad centres the image on black (an odd row or column goes below and to the right). kBilinear has
// half-pixel centres and a filter that widens when it shrinks, as Pillow does. kNone asserts that
// the size is already right.
enum class Resize { kNone, kPad, kNearest, kBilinear };
void resize(Dataset& dataset, int64_t height, int64_t width, Resize mode);

// 1 to 3 repeats the channel; 3 to 1 is the luma of ITU-R BT.601.
void convert_channels(Dataset& dataset, int64_t channels);

}  // namespace ddpm
