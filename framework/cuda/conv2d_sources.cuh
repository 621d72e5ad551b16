// The operands of a convolution seen as matrices, for gemm_tile.cuh and mma_tile.cuh. In the matrix
// products
//
//   forward          y  (pixels of y, K)     = x under the taps (pixels of y, R S C)  weight^T
//   data gradient    dx (pixels of x, C)     = dy above the taps (pixels of x, R S K) weight
//   weight gradient  dweight (K, R S C)      = dy^T (K, pixels of y)  x under the taps
//
// the "under" and "above" matrices exist only as the rule that finds an element's pixel. Padding is
// where that rule leaves the image.
#pragma once

#include <cstdint>

#include "framework/core/conv2d_problem.h"
#include "framework/core/host_device.h"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

// Conv2dProblem (framework/core/conv2d_problem.h) in the integers of the device.
struct Conv2dExtents {
  int images;
  int in_height, in_width, in_channels;     // x (N, H, W, C)
  int out_height, out_width, out_channels;  // y (N, P, Q, K)
  int kernel_height, kernel_width;          // weight (K, R, S, C)
  int stride, pad_top, pad_left;
};

inline Conv2dExtents extents_of(const Conv2dProblem& p) {
  const auto narrow = [](int64_t value) { return static_cast<int>(value); };
  return {narrow(p.images),       narrow(p.in_height),     narrow(p.in_width),
          narrow(p.in_channels),  narrow(p.out_height),    narrow(p.out_width),
          narrow(p.out_channels), narrow(p.kernel_height), narrow(p.kernel_width),
          narrow(p.stride),       narrow(p.pad_top),       narrow(p.pad_left)};
}

// A number with three digits of its own radices. Counting costs a division only on a carry.
struct Counter {
  int high, middle, low;

  __device__ static Counter at(int value, int middle_radix, int low_radix) {
    const int rest = value / low_radix;
    return {rest / middle_radix, rest % middle_radix, value % low_radix};
  }
  __device__ void advance(int step, int middle_radix, int low_radix) {
    low += step;
    if (low < low_radix) return;
    const int carry = low / low_radix;
    low -= carry * low_radix;
    middle += carry;
    if (middle < middle_radix) return;
    high += middle / middle_radix;
    middle %= middle_radix;
  }
};

// A pass as a convolution of stride and tap distance 1 over a lattice of the pixels it computes:
// lattice pixel (i, j) is pixel (top + i * step, left + j * step) of the result, and its tap (r, s)
// reads pixel (first_row + i * advance + r * sign, first_column + j * advance + s * sign) with the
// weights of kernel tap (first_r + r * step, first_s + s * step).
//
// Forward has one lattice, all of y. The data gradient of stride d has d * d, the pixels of x by
// their remainders modulo d: all pixels of one lattice are reached by the same taps.
struct Lattice {
  int height, width, top, left, step;
  int first_row, first_column, advance, sign;
  int taps_high, taps_wide, first_r, first_s;

  DDPM_HD static Lattice forward(const Conv2dExtents& e) {
    return {e.out_height,    e.out_width,    0, 0, 1, -e.pad_top, -e.pad_left, e.stride, 1,
            e.kernel_height, e.kernel_width, 0, 0};
  }
  DDPM_HD static Lattice backward_data(const Conv2dExtents& e, int phase) {
    const int top = phase / e.stride, left = phase % e.stride;
    const int r = (top + e.pad_top) % e.stride, s = (left + e.pad_left) % e.stride;
    const auto count = [&](int extent, int first) {
      return (extent - first + e.stride - 1) / e.stride;
    };
    return {count(e.in_height, top),
            count(e.in_width, left),
            top,
            left,
            e.stride,
            (top + e.pad_top - r) / e.stride,
            (left + e.pad_left - s) / e.stride,
            1,
            -1,
            count(e.kernel_height, r),
            count(e.kernel_width, s),
            r,
            s};
  }
  DDPM_HD int pixels() const { return height * width; }
  DDPM_HD int taps() const { return taps_high * taps_wide; }
  // The pixel of the result, of images of these extents, that is pixel `row` of the lattice.
  __device__ int pixel(int row, int image_height, int image_width) const {
    const Counter at = Counter::at(row, height, width);
    return (at.high * image_height + top + at.middle * step) * image_width + left + at.low * step;
  }
};

// A[row, depth] = the channels of `in` under (or above) the taps of lattice pixel `row`: depth runs
// over (r, s, channel).
template <class Loads_>
class PixelRows {
 public:
  using Loads = Loads_;
  using T = typename Loads::T;
  static_assert(Loads::kAlongDepth);

  __device__ PixelRows(const T* in, int height, int width, int channels, const Lattice& lattice,
                       int images, int first_row, int first_depth)
      : in_(in),
        height_(height),
        width_(width),
        channels_(channels),
        lattice_(lattice),
        tap_(Counter::at(first_depth + Loads::offset(), lattice.taps_wide, channels)) {
#pragma unroll
    for (int i = 0; i < Loads::kVectors; ++i) {
      const Counter pixel =
          Counter::at(first_row + Loads::line() + i * Loads::kStep, lattice.height, lattice.width);
      const bool exists = pixel.high < images;
      row_[i] = exists ? lattice.first_row + pixel.middle * lattice.advance : kOutside;
      column_[i] = lattice.first_column + pixel.low * lattice.advance;
      image_[i] = pixel.high * height;
    }
  }

  __device__ Place<T> next(int i) {
    const int row = row_[i] + tap_.high * lattice_.sign;
    const int column = column_[i] + tap_.middle * lattice_.sign;
    const bool is_inside = tap_.high < lattice_.taps_high && row >= 0 && row < height_ &&
                           column >= 0 && column < width_;
    const int pixel = is_inside ? (image_[i] + row) * width_ + column : 0;
    const int channel = tap_.low;
    if (i == Loads::kVectors - 1) tap_.advance(Loads::Tile::kDepth, lattice_.taps_wide, channels_);
    return {in_ + static_cast<int64_t>(pixel) * channels_ + channel, is_inside};
  }

 private:
  static constexpr int kOutside = -(1 << 30);  // no tap leads from here into the image

  const T* in_;
  int height_, width_, channels_;
  Lattice lattice_;
  Counter tap_;  // (r, s, channel)
  int row_[Loads::kVectors], column_[Loads::kVectors], image_[Loads::kVectors];
};

// B[depth, column] = x under tap and channel `column` of output pixel `depth`.
template <class Loads_>
class TapColumns {
 public:
  using Loads = Loads_;
  using T = typename Loads::T;
  static_assert(!Loads::kAlongDepth);

  __device__ TapColumns(const T* x, const Conv2dExtents& extents, int first_column, int first_depth)
      : e_(extents),
        pixel_(Counter::at(first_depth + Loads::line(), extents.out_height, extents.out_width)) {
    const Counter tap =
        Counter::at(first_column + Loads::offset(), extents.kernel_width, extents.in_channels);
    x_ = x + tap.low;
    row_ = tap.high < e_.kernel_height ? tap.high - e_.pad_top : kOutside;
    column_ = tap.middle - e_.pad_left;
  }

  __device__ Place<T> next(int) {
    const int row = row_ + pixel_.middle * e_.stride, column = column_ + pixel_.low * e_.stride;
    const bool is_inside = pixel_.high < e_.images && row >= 0 && row < e_.in_height &&
                           column >= 0 && column < e_.in_width;
    const int pixel = is_inside ? (pixel_.high * e_.in_height + row) * e_.in_width + column : 0;
    pixel_.advance(Loads::kStep, e_.out_height, e_.out_width);
    return {x_ + static_cast<int64_t>(pixel) * e_.in_channels, is_inside};
  }

 private:
  static constexpr int kOutside = -(1 << 30);

  Conv2dExtents e_;
  Counter pixel_;  // (image, row, column) of y
  const T* x_;
  int row_, column_;
};

// Element (line, offset) of a row-major matrix (lines, pitch). Along the depth: A or B holds one
// line per row or column of the result. Else: one line per depth.
template <class Loads_>
class Matrix {
 public:
  using Loads = Loads_;
  using T = typename Loads::T;

  __device__ Matrix(const T* matrix, int lines, int pitch, int first_extent, int first_depth)
      : lines_(lines),
        pitch_(pitch),
        line_(Loads::line() + (Loads::kAlongDepth ? first_extent : first_depth)),
        offset_(Loads::offset() + (Loads::kAlongDepth ? first_depth : first_extent)),
        next_(matrix + static_cast<int64_t>(line_) * pitch + offset_) {}

  __device__ Place<T> next(int i) {
    if constexpr (Loads::kAlongDepth) {
      const bool is_inside = offset_ < pitch_ && line_ + i * Loads::kStep < lines_;
      const T* from = next_ + static_cast<int64_t>(i * Loads::kStep) * pitch_;
      if (i == Loads::kVectors - 1) offset_ += Loads::Tile::kDepth, next_ += Loads::Tile::kDepth;
      return {from, is_inside};
    } else {
      const bool is_inside = offset_ < pitch_ && line_ < lines_;
      const T* from = next_;
      line_ += Loads::kStep, next_ += static_cast<int64_t>(Loads::kStep) * pitch_;
      return {from, is_inside};
    }
  }

 private:
  int lines_, pitch_, line_, offset_;
  const T* next_;
};

// B[depth, column] = weight[k, tap, column] with depth running over (tap r, tap s, k) of a lattice.
template <class Loads_>
class WeightColumns {
 public:
  using Loads = Loads_;
  using T = typename Loads::T;
  static_assert(!Loads::kAlongDepth);

  __device__ WeightColumns(const T* weight, const Conv2dExtents& extents, const Lattice& lattice,
                           int first_column, int first_depth)
      : e_(extents),
        lattice_(lattice),
        tap_(Counter::at(first_depth + Loads::line(), lattice.taps_wide, extents.out_channels)),
        column_(first_column + Loads::offset()),
        weight_(weight + column_) {}

  __device__ Place<T> next(int) {
    const bool is_inside = tap_.high < lattice_.taps_high && column_ < e_.in_channels;
    const int r = lattice_.first_r + tap_.high * lattice_.step;
    const int s = lattice_.first_s + tap_.middle * lattice_.step;
    const int line = (tap_.low * e_.kernel_height + r) * e_.kernel_width + s;
    tap_.advance(Loads::kStep, lattice_.taps_wide, e_.out_channels);
    return {weight_ + static_cast<int64_t>(line) * e_.in_channels, is_inside};
  }

 private:
  Conv2dExtents e_;
  Lattice lattice_;
  Counter tap_;  // (r, s, k)
  int column_;
  const T* weight_;
};

}  // namespace ddpm::cuda
