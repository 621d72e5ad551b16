// What a config may ask of a data set after it was read. All end in exact integer arithmetic, so
// that a config names the same bytes everywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/dataset.h"

namespace ddpm {

// Moves `count` images of `train`, chosen by a fixed keyed permutation of their indices, to the
// empty split `test`; both keep their order.
void hold_out(Dataset& dataset, int64_t count);

// Keeps the first `count` training images; the held-out split stays whole.
void limit(Dataset& dataset, int64_t count);

// kPad centres the image on black (an odd row or column goes below and to the right). kNearest has
// half-pixel centres. The filters are Pillow's, see resample.h. kNone asserts that the size is
// already right.
enum class Resize { kNone, kPad, kNearest, kBox, kBilinear, kBicubic, kLanczos };
void resize(Dataset& dataset, int64_t height, int64_t width, Resize mode);

// 1 to 3 repeats the channel; 3 to 1 is the luma of ITU-R BT.601.
void convert_channels(Dataset& dataset, int64_t channels);

// The same for single images of `levels` grey levels and shape `from` (H, W, C). `what` is what
// messages call the image. The maps may be called by several threads.
using ImageMap = std::function<void(const uint8_t* in, uint8_t* out)>;
ImageMap resize_map(const std::string& what, const Shape& from, const Shape& to, Resize mode,
                    int levels);
ImageMap channel_map(const std::string& what, const Shape& from, int64_t channels);

}  // namespace ddpm
