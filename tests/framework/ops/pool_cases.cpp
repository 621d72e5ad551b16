// Pooling: windows that overlap, that leave a rest, and that reach into padding.
#include <algorithm>
#include <limits>

#include "framework/ops/pool.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

// The definition in pool.h, element by element over the whole window.
Tensor naive_pool(const Tensor& x, const PoolGeometry& g, bool is_max) {
  const Shape& s = x.shape();
  const int64_t height = (s[1] + 2 * g.pad - g.window) / g.stride + 1;
  const int64_t width = (s[2] + 2 * g.pad - g.window) / g.stride + 1;
  Tensor y = Tensor::empty({s[0], height, width, s[3]}, DType::kF64, Device::kCpu);
  double* out = y.data<double>();
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t p = 0; p < height; ++p)
      for (int64_t q = 0; q < width; ++q)
        for (int64_t c = 0; c < s[3]; ++c) {
          double largest = -std::numeric_limits<double>::infinity(), sum = 0;
          int count = 0;
          for (int64_t k = 0; k < g.window * g.window; ++k) {
            const int64_t i = p * g.stride - g.pad + k / g.window;
            const int64_t j = q * g.stride - g.pad + k % g.window;
            if (i < 0 || i >= s[1] || j < 0 || j >= s[2]) continue;
            const double value = x.data<double>()[((n * s[1] + i) * s[2] + j) * s[3] + c];
            largest = std::max(largest, value);
            sum += value;
            ++count;
          }
          *out++ = is_max ? largest : sum / count;
        }
  return y;
}

OpCase pool_case(bool is_max, Shape x, PoolGeometry g) {
  OpCase c;
  c.inputs = {{x}};
  c.run = [=](const Tensors& in) { return is_max ? max_pool(in[0], g) : mean_pool(in[0], g); };
  c.reference = [=](const Tensors& in) { return naive_pool(in[0], g, is_max); };
  return c;
}

OpCase timed(OpCase c, Shape x) {
  c.bench_shapes = {x};
  return c;
}

using Case = RegisterCase;

const Case max_down("MaxPool3x3Stride2",
                    timed(pool_case(true, {2, 7, 9, 5}, {3, 2, 0}), {8, 147, 147, 64}));
const Case max_rest("MaxPoolLeavesARest", pool_case(true, {1, 6, 8, 70}, {3, 2, 0}));
const Case max_same("MaxPool3x3Padded",
                    timed(pool_case(true, {2, 5, 4, 3}, {3, 1, 1}), {8, 8, 8, 2048}));
const Case max_apart("MaxPoolSkipsPixels", pool_case(true, {1, 7, 7, 3}, {2, 3, 1}));
const Case mean_same("MeanPool3x3Padded",
                     timed(pool_case(false, {2, 5, 4, 3}, {3, 1, 1}), {8, 35, 35, 256}));
const Case mean_wide("MeanPoolChannels70", pool_case(false, {1, 3, 3, 70}, {3, 1, 1}));
const Case mean_down("MeanPool5x5Stride2", pool_case(false, {1, 8, 9, 2}, {5, 2, 2}));
const Case mean_one("MeanPoolOnePixel", pool_case(false, {3, 1, 1, 4}, {3, 1, 1}));

Tensor f32(Shape shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

DDPM_ERROR_CASE(
    MaxPoolRank,
    .run =
        [] {
          max_pool(f32({4, 4, 3}), {});
        },
    .message = "max_pool: x (4, 4, 3) is not (N, H, W, C)");
DDPM_ERROR_CASE(
    MaxPoolEmptyWindow,
    .run =
        [] {
          max_pool(f32({1, 4, 4, 3}), {2, 1, 2});
        },
    .message = "max_pool: a window of 2 with stride 1 and padding 2");
DDPM_ERROR_CASE(
    MeanPoolTooSmall,
    .run =
        [] {
          mean_pool(f32({1, 4, 2, 3}), {3, 1, 0});
        },
    .message = "mean_pool: a window of 3 does not fit into x (1, 4, 2, 3) padded to (4, 2)");

}  // namespace
}  // namespace ddpm::testing
