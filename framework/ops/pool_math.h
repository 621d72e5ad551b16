// The windows of pool.h and the gradient of one element, written once for both backends.
#pragma once

#include <cstdint>

#include "framework/core/bf16.h"
#include "framework/core/host_device.h"
#include "framework/ops/pool.h"

namespace ddpm::math {

struct PoolExtents {
  int64_t height, width, channels, out_height, out_width;
  int64_t window, stride, pad;

  PoolExtents(const Shape& x, const Shape& y, const PoolGeometry& g)
      : height(x[1]),
        width(x[2]),
        channels(x[3]),
        out_height(y[1]),
        out_width(y[2]),
        window(g.window),
        stride(g.stride),
        pad(g.pad) {}
};

// Pixels first .. last - 1 of one axis.
struct PoolRange {
  int64_t first, last;
  DDPM_HD int64_t count() const { return last - first; }
};

// What output `p` of an axis of `extent` pixels covers.
DDPM_HD inline PoolRange pool_window(const PoolExtents& e, int64_t p, int64_t extent) {
  const int64_t first = p * e.stride - e.pad, last = first + e.window;
  return {first > 0 ? first : 0, last < extent ? last : extent};
}
// Which of `outputs` along an axis cover pixel `i`.
DDPM_HD inline PoolRange pool_covering(const PoolExtents& e, int64_t i, int64_t outputs) {
  const int64_t before = i + e.pad - e.window;  // the last pixel that a window too early ends with
  const int64_t first = before < 0 ? 0 : before / e.stride + 1, last = (i + e.pad) / e.stride + 1;
  return {first, last < outputs ? last : outputs};
}

// Whether element (i, j) is the first largest of its window. `x` points to channel c of the image.
template <class T>
DDPM_HD bool is_first_largest(const PoolExtents& e, const T* x, PoolRange rows, PoolRange columns,
                              int64_t i, int64_t j) {
  using A = Accumulator<T>;
  const A own = static_cast<A>(x[(i * e.width + j) * e.channels]);
  for (int64_t h = rows.first; h < rows.last; ++h)
    for (int64_t w = columns.first; w < columns.last; ++w) {
      const A other = static_cast<A>(x[(h * e.width + w) * e.channels]);
      const bool is_before = h < i || (h == i && w < j);
      if (other > own || (is_before && other == own)) return false;
    }
  return true;
}

// The gradient of element (i, j) of a channel: x and dy point to the channel in their images. It
// gathers from the windows that cover the element, so that threads never write to one place.
template <class T>
DDPM_HD Accumulator<T> max_pool_gradient(const PoolExtents& e, const T* x, const T* dy, int64_t i,
                                         int64_t j) {
  Accumulator<T> sum = 0;
  const PoolRange ps = pool_covering(e, i, e.out_height), qs = pool_covering(e, j, e.out_width);
  for (int64_t p = ps.first; p < ps.last; ++p)
    for (int64_t q = qs.first; q < qs.last; ++q)
      if (is_first_largest(e, x, pool_window(e, p, e.height), pool_window(e, q, e.width), i, j))
        sum += static_cast<Accumulator<T>>(dy[(p * e.out_width + q) * e.channels]);
  return sum;
}
template <class T>
DDPM_HD Accumulator<T> mean_pool_gradient(const PoolExtents& e, const T* dy, int64_t i, int64_t j) {
  using A = Accumulator<T>;
  A sum = 0;
  const PoolRange ps = pool_covering(e, i, e.out_height), qs = pool_covering(e, j, e.out_width);
  for (int64_t p = ps.first; p < ps.last; ++p)
    for (int64_t q = qs.first; q < qs.last; ++q) {
      const int64_t count =
          pool_window(e, p, e.height).count() * pool_window(e, q, e.width).count();
      sum += static_cast<A>(dy[(p * e.out_width + q) * e.channels]) / static_cast<A>(count);
    }
  return sum;
}

}  // namespace ddpm::math
