// How conv2d_amx.cpp cuts the forward pass and the data gradient: lattices of pixels that are
// computed through the same taps, pieces of a lattice that one thread packs and multiplies, and the
// steps of a sum.
#pragma once

#if defined(__x86_64__)
#include <algorithm>
#include <vector>

#include "framework/core/conv2d_problem.h"
#include "framework/cpu/amx.h"

namespace ddpm::cpu {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Where a tap reads, from the pixel it is for, and which weights it has.
struct Tap {
  int64_t plane, row, column, index;
};

// Pixels that are computed through the same taps: pixel (i, j) of the lattice is pixel
// (top + i * step, left + j * step) of the result. Forward has one lattice, the data gradient of
// stride d the d * d remainders of the pixels.
struct Lattice {
  int64_t rows, columns, top, left, step;
  int64_t first_row, first_column;  // of the input, at row 0 and column 0 of plane 0
  std::vector<Tap> taps;
};

struct Plan {
  int64_t images, in_height, in_width, in_channels, out_height, out_width, out_channels;
  int64_t stride;                             // of the planes
  int64_t tap_stride, in_stride, out_stride;  // of weight, in elements
  std::vector<Lattice> lattices;
};

Lattice forward_lattice(const Conv2dProblem& p) {
  Lattice l{p.out_height, p.out_width, 0, 0, 1, -p.pad_top, -p.pad_left, {}};
  for (int64_t r = 0; r < p.kernel_height; ++r)
    for (int64_t s = 0; s < p.kernel_width; ++s)
      l.taps.push_back({r % p.stride * p.stride + s % p.stride, r / p.stride, s / p.stride,
                        r * p.kernel_width + s});
  return l;
}

// Along one axis: taps first, first + stride, ... of `extent` reach the pixels of remainder
// `phase`; the first one reads pixel i + origin for lattice pixel i, each next one the pixel
// before.
struct PhaseTaps {
  int64_t first, count, origin;
  PhaseTaps(int64_t phase, int64_t pad, int64_t stride, int64_t extent)
      : first((phase + pad) % stride),
        count(extent > first ? divide_up(extent - first, stride) : 0),
        origin((phase + pad - first) / stride) {}
};

Lattice backward_lattice(const Conv2dProblem& p, int64_t top, int64_t left) {
  const PhaseTaps rows(top, p.pad_top, p.stride, p.kernel_height);
  const PhaseTaps columns(left, p.pad_left, p.stride, p.kernel_width);
  Lattice l{divide_up(p.in_height - top, p.stride),
            divide_up(p.in_width - left, p.stride),
            top,
            left,
            p.stride,
            rows.origin - rows.count + 1,
            columns.origin - columns.count + 1,
            {}};
  for (int64_t r = 0; r < rows.count; ++r)
    for (int64_t s = 0; s < columns.count; ++s)
      l.taps.push_back(
          {0, rows.count - 1 - r, columns.count - 1 - s,
           (rows.first + r * p.stride) * p.kernel_width + columns.first + s * p.stride});
  return l;
}

Plan make_plan(Conv2dPass pass, const Conv2dProblem& p) {
  const int64_t row = p.taps() * p.in_channels;  // of one output channel in weight
  if (pass == Conv2dPass::kForward)
    return {p.images,    p.in_height,         p.in_width, p.in_channels, p.out_height,
            p.out_width, p.out_channels,      p.stride,   p.in_channels, 1,
            row,         {forward_lattice(p)}};
  Plan plan{p.images,
            p.out_height,
            p.out_width,
            p.out_channels,
            p.in_height,
            p.in_width,
            p.in_channels,
            1,
            p.in_channels,
            row,
            1,
            {}};
  for (int64_t top = 0; top < std::min(p.stride, p.in_height); ++top)
    for (int64_t left = 0; left < std::min(p.stride, p.in_width); ++left)
      plan.lattices.push_back(backward_lattice(p, top, left));
  return plan;
}

// One product of a tile: where its left operand begins, from that of the tile.
struct Step {
  int64_t left;        // elements
  int64_t tap, block;  // of weight, of 32 channels
};

// How a lattice is cut: pieces of whole rows of some groups of images, with the sizes of what a
// piece packs.
struct Cut {
  int64_t group, groups;             // images interleaved, and how often
  int64_t blocks, planes;            // of 32 channels, of pixels
  int64_t row_tiles;                 // of one row of a group
  int64_t piece_rows, piece_groups;  // of the lattice
  int64_t row_pieces, group_pieces;
  int64_t height, width;  // packed rows and columns of a piece
  int64_t plane_size, block_size, group_size, part_size;
  std::vector<Step> steps;

  Cut(const Plan& p, const Lattice& l, int parts) {
    constexpr int64_t kTiles = 16, kMostBytes = 768 << 10;  // a share of the L2 cache
    int64_t reach_down = 0, reach_right = 0;
    planes = 1;
    for (const Tap& tap : l.taps) {
      reach_down = std::max(reach_down, tap.row), reach_right = std::max(reach_right, tap.column);
      planes = std::max(planes, tap.plane + 1);
    }
    group = std::clamp<int64_t>(kTileRows / l.columns, 1, p.images);
    groups = divide_up(p.images, group);
    blocks = divide_up(p.in_channels, kTileDepth);
    row_tiles = divide_up(l.columns * group, kTileRows);
    // The last tile of a row may read beyond its end.
    width = l.columns + reach_right + divide_up(row_tiles * kTileRows - l.columns * group, group);
    const int64_t row_bytes = 2 * parts * blocks * planes * width * group * kTileDepth;
    piece_rows =
        std::clamp<int64_t>(kMostBytes / row_bytes - reach_down, divide_up(kTiles, row_tiles),
                            4 * divide_up(kTiles, row_tiles));
    piece_rows = std::min(piece_rows, l.rows);
    row_pieces = divide_up(l.rows, piece_rows);
    piece_rows = divide_up(l.rows, row_pieces);
    piece_groups = std::clamp<int64_t>(kTiles / (piece_rows * row_tiles), 1, groups);
    group_pieces = divide_up(groups, piece_groups);
    height = piece_rows + reach_down;
    plane_size = height * width * group * kTileDepth;
    block_size = planes * plane_size;
    group_size = blocks * block_size;
    part_size = piece_groups * group_size;
    // Taps of one row of the kernel follow one another: what they read of a block of channels
    // overlaps and is in the L1 cache.
    for (size_t first = 0, last; first < l.taps.size(); first = last) {
      last = first + 1;
      while (last < l.taps.size() && l.taps[last].row == l.taps[first].row) ++last;
      for (int64_t block = 0; block < blocks; ++block)
        for (size_t t = first; t < last; ++t) {
          const Tap& tap = l.taps[t];
          steps.push_back({block * block_size + tap.plane * plane_size +
                               (tap.row * width + tap.column) * group * kTileDepth,
                           tap.index, block});
        }
    }
  }
  int64_t pieces() const { return row_pieces * group_pieces; }
};

// A pixel of the result, counted through all images; negative for positions that are none.
struct Pixel {
  int64_t index, image;
};

// The pixels of the tiles of a piece, 16 each, and of one tile more that has none.
void list_pixels(const Plan& p, const Lattice& l, const Cut& cut, int64_t first_row,
                 int64_t first_group, int64_t groups, int64_t rows, Pixel* pixels) {
  for (int64_t g = first_group; g < first_group + groups; ++g)
    for (int64_t row = first_row; row < first_row + rows; ++row) {
      const int64_t first_image = g * cut.group, h = l.top + row * l.step;
      int64_t image = 0, column = 0;  // of the group, of the lattice
      for (int64_t i = 0; i < cut.row_tiles * kTileRows; ++i) {
        const int64_t n = first_image + image;
        const bool exists = column < l.columns && n < p.images;
        const int64_t w = l.left + column * l.step;
        *pixels++ = {exists ? (n * p.out_height + h) * p.out_width + w : -1, n};
        if (++image == cut.group) image = 0, ++column;
      }
    }
  std::fill_n(pixels, kTileRows, Pixel{-1, 0});
}

}  // namespace
}  // namespace ddpm::cpu
#endif
