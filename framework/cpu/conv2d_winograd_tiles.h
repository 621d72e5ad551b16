// How Winograd's convolutions see a problem: free of the instruction set. Forward and the data
// gradient are one operation, because the data gradient of a convolution of stride 1 is a
// convolution of dy with the kernel turned by 180 degrees.
#pragma once

#include <algorithm>

#include "framework/core/conv2d_problem.h"
#include "framework/cpu/panels.h"

namespace ddpm::cpu {

// (N, H, W, C) images that are cut into windows: window (i, j) begins at pixel (4i - pad_top,
// 4j - pad_left).
struct WindowedImages {
  const float* pixels;
  int64_t height, width, channels, pad_top, pad_left;
};

struct WinogradTiles {
  int64_t images, rows, columns;  // of tiles

  int64_t count() const { return images * rows * columns; }
};

inline WinogradTiles winograd_tiles(int64_t images, int64_t out_height, int64_t out_width) {
  return {images, divide_up(out_height, 4), divide_up(out_width, 4)};
}

// Tiles begin .. begin + count - 1.
struct TileRange {
  int64_t begin, count;
};

// Elements between two rows of channels: a whole number of cache lines, and an odd one, so that the
// rows of a matrix do not fall on few sets of the cache.
inline int64_t odd_lines(int64_t elements) {
  constexpr int64_t kLine = 16;
  return (divide_up(elements, kLine) | 1) * kLine;
}

// Pointers to the size x size pixels of the window of a tile; `zeros` outside the image.
inline void locate_window(const WinogradTiles& tiles, const WindowedImages& in, int64_t tile,
                          int64_t size, const float* zeros, const float** window) {
  const int64_t top = tile / tiles.columns % tiles.rows * 4 - in.pad_top;
  const int64_t left = tile % tiles.columns * 4 - in.pad_left;
  const float* image =
      in.pixels + tile / (tiles.columns * tiles.rows) * in.height * in.width * in.channels;
  for (int64_t h = top; h < top + size; ++h)
    for (int64_t w = left; w < left + size; ++w) {
      const bool is_inside = h >= 0 && h < in.height && w >= 0 && w < in.width;
      *window++ = is_inside ? image + (h * in.width + w) * in.channels : zeros;
    }
}

// Whether a problem is one of Winograd's, is allowed, and is computed faster than by a direct
// convolution: the forward pass and the data gradient, and the weight gradient.
bool winograd_pays(const Conv2dProblem& problem);
bool winograd_weight_pays(const Conv2dProblem& problem);

}  // namespace ddpm::cpu
