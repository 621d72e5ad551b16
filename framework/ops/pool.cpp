#include "framework/ops/pool.h"

#include <algorithm>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/pool_math.h"

namespace ddpm {

Shape PoolGeometry::output_shape(const char* op, const Shape& x) const {
  DDPM_CHECK(x.rank() == 4, "{}: x {} is not (N, H, W, C)", op, x);
  DDPM_CHECK(window >= 1 && stride >= 1 && pad >= 0 && pad < window,
             "{}: a window of {} with stride {} and padding {}", op, window, stride, pad);
  const int64_t height = x[1] + 2 * pad, width = x[2] + 2 * pad;
  DDPM_CHECK(window <= height && window <= width,
             "{}: a window of {} does not fit into x {} padded to ({}, {})", op, window, x, height,
             width);
  return {x[0], (height - window) / stride + 1, (width - window) / stride + 1, x[3]};
}

Tensor max_pool(const Tensor& x, const PoolGeometry& geometry) {
  const Shape shape = geometry.output_shape("max_pool", x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), max_pool_forward(x, geometry, y));
  Tape::record("max_pool", {x}, y, [=](const Tensor& dy) {
    Tensor dx = Tensor::like(x);
    DDPM_DISPATCH(dy.device(), max_pool_backward(x, dy, geometry, dx));
    accumulate_grad(x.slot(), dx);
  });
  return y;
}

Tensor mean_pool(const Tensor& x, const PoolGeometry& geometry) {
  const Shape shape = geometry.output_shape("mean_pool", x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), mean_pool_forward(x, geometry, y));
  Tape::record("mean_pool", {x}, y, [slot = x.slot(), geometry](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), mean_pool_backward(dy, geometry, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

namespace cpu {
namespace {

using math::PoolExtents;
using math::PoolRange;

constexpr int64_t kChannels = 64;  // whose running values stay in registers or the L1 cache

// y[n, p, q, c] = finish(combine over the window, its size): a piece is a row of y.
template <class T, class Combine, class Finish>
void pool_windows(const Tensor& x, const PoolGeometry& geometry, Tensor& y, Combine combine,
                  Finish finish) {
  using A = Accumulator<T>;
  const PoolExtents e(x.shape(), y.shape(), geometry);
  const T* in = x.data<T>();
  T* out = y.data<T>();
  parallel_for(y.shape()[0] * e.out_height, [&](int64_t row) {
    const T* image = in + row / e.out_height * e.height * e.width * e.channels;
    const PoolRange rows = math::pool_window(e, row % e.out_height, e.height);
    for (int64_t q = 0; q < e.out_width; ++q) {
      const PoolRange columns = math::pool_window(e, q, e.width);
      const A count = static_cast<A>(rows.count() * columns.count());
      for (int64_t first = 0; first < e.channels; first += kChannels) {
        const int64_t width = std::min(kChannels, e.channels - first);
        A value[kChannels];
        const T* corner = image + (rows.first * e.width + columns.first) * e.channels + first;
        for (int64_t c = 0; c < width; ++c) value[c] = static_cast<A>(corner[c]);
        for (int64_t h = rows.first; h < rows.last; ++h)
          for (int64_t w = columns.first + (h == rows.first); w < columns.last; ++w) {
            const T* pixel = image + (h * e.width + w) * e.channels + first;
            for (int64_t c = 0; c < width; ++c)
              value[c] = combine(value[c], static_cast<A>(pixel[c]));
          }
        T* to = out + (row * e.out_width + q) * e.channels + first;
        for (int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(finish(value[c], count));
      }
    }
  });
}

// dx[n, i, j, c] = gradient(n, i, j, c): a piece is a row of dx.
template <class T, class Gradient>
void gather_gradients(Tensor& dx, Gradient gradient) {
  const int64_t height = dx.shape()[1], width = dx.shape()[2], channels = dx.shape()[3];
  T* out = dx.data<T>();
  parallel_for(dx.shape()[0] * height, [&](int64_t row) {
    T* to = out + row * width * channels;
    for (int64_t j = 0; j < width; ++j)
      for (int64_t c = 0; c < channels; ++c)
        *to++ = static_cast<T>(gradient(row / height, row % height, j, c));
  });
}

}  // namespace

void max_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y) {
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    pool_windows<T>(
        x, geometry, y, [](auto a, auto b) { return b > a ? b : a; },
        [](auto value, auto) { return value; });
  });
}

void max_pool_backward(const Tensor& x, const Tensor& dy, const PoolGeometry& geometry,
                       Tensor& dx) {
  const PoolExtents e(x.shape(), dy.shape(), geometry);
  const int64_t image = e.height * e.width * e.channels;
  const int64_t out_image = e.out_height * e.out_width * e.channels;
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    gather_gradients<T>(dx, [&](int64_t n, int64_t i, int64_t j, int64_t c) {
      return math::max_pool_gradient(e, x.data<T>() + n * image + c,
                                     dy.data<T>() + n * out_image + c, i, j);
    });
  });
}

void mean_pool_forward(const Tensor& x, const PoolGeometry& geometry, Tensor& y) {
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    pool_windows<T>(
        x, geometry, y, [](auto a, auto b) { return a + b; },
        [](auto sum, auto count) { return sum / count; });
  });
}

void mean_pool_backward(const Tensor& dy, const PoolGeometry& geometry, Tensor& dx) {
  const PoolExtents e(dx.shape(), dy.shape(), geometry);
  const int64_t out_image = e.out_height * e.out_width * e.channels;
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    gather_gradients<T>(dx, [&](int64_t n, int64_t i, int64_t j, int64_t c) {
      return math::mean_pool_gradient(e, dy.data<T>() + n * out_image + c, i, j);
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
