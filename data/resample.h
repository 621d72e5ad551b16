// Changes of size with the filters of Pillow's Image.resize for 8-bit images, bit for bit: the
// filter widens where the image shrinks (antialiasing), centres of pixels lie at halves, and rows
// are done first, rounded to bytes, then columns.
#pragma once

#include <cstdint>
#include <vector>

#include "framework/core/shape.h"

namespace ddpm {

enum class Filter { kBox, kBilinear, kBicubic, kLanczos };

class Resampler {
 public:
  // Of images `from` = (H, W, C) to (height, width, C). Bicubic and Lanczos overshoot: results are
  // cut to 0 .. levels - 1.
  Resampler(const Shape& from, int64_t height, int64_t width, Filter filter, int levels);

  // May be called by several threads.
  void operator()(const uint8_t* in, uint8_t* out) const;

 private:
  // Of one output position: inputs begin, begin + 1, ... with these weights.
  struct Taps {
    int64_t begin = 0;
    std::vector<int64_t> weights;
  };
  static std::vector<Taps> make_taps(int64_t from, int64_t to, Filter filter);
  void pass(const std::vector<Taps>& taps, int64_t outer, int64_t length, int64_t inner,
            const uint8_t* in, uint8_t* out) const;

  Shape from_;
  std::vector<Taps> rows_, columns_;  // empty where that extent stays
  int64_t largest_;
};

}  // namespace ddpm
