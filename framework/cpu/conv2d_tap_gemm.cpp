#include "framework/cpu/conv2d_tap_gemm.h"

#include <algorithm>

#include "framework/core/dispatch.h"
#include "framework/cpu/conv2d_gather.h"
#include "framework/cpu/gemm.h"
#include "framework/cpu/scratch.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kRows = 256;     // output pixels per piece: enough for a full-speed product
constexpr int64_t kColumns = 128;  // channels per piece where the rows alone are too few pieces

// The source rows of output sites begin .. begin + rows - 1, sites counted through all images:
// columns first .. first + columns - 1 of each. Rows that already lie side by side are not copied;
// `buffer` holds the others. Returns the block and its row stride.
template <class T>
auto gather_rows(const T* in, int64_t in_pixels, int64_t channels, const int32_t* source,
                 int64_t sites, int64_t begin, int64_t rows, int64_t first, int64_t columns,
                 T* buffer) {
  const auto row = [&](int64_t i) -> const T* {
    const int64_t image = (begin + i) / sites, pixel = source[(begin + i) % sites];
    return pixel < 0 ? nullptr : in + (image * in_pixels + pixel) * channels + first;
  };
  const T* origin = row(0);
  int64_t i = 1;
  while (origin && i < rows && row(i) == origin + i * channels) ++i;
  if (origin && i == rows) return matrix(origin, rows, columns, channels);
  for (i = 0; i < rows; ++i) {
    const T* from = row(i);
    T* to = buffer + i * columns;
    if (from) {
      std::copy_n(from, columns, to);
    } else {
      std::fill_n(to, columns, T(0));
    }
  }
  return matrix(static_cast<const T*>(buffer), rows, columns, columns);
}

template <class T>
void run_gather(const GatherConv& g) {
  const int64_t sites = g.images * g.out_pixels;
  const int64_t row_blocks = (sites + kRows - 1) / kRows;
  const int64_t width = row_blocks < 16 ? kColumns : g.out_channels;
  const int64_t column_blocks = (g.out_channels + width - 1) / width;
  const T *in = g.in.data<T>(), *weight = g.weight.data<T>();
  const auto optional = [](const Tensor& t) -> const T* { return t ? t.data<T>() : nullptr; };
  const T *bias = optional(g.bias), *per_sample = optional(g.per_sample);
  const T* residual = optional(g.residual);
  const int32_t *source = g.source.data<int32_t>(), *pixel = g.pixel.data<int32_t>();
  T* out = g.out.data<T>();

  const int64_t elements = kRows * (g.in_channels + width);
  parallel_for_scratch<T>(row_blocks * column_blocks, elements, [&](int64_t i, T* scratch) {
    const int64_t begin = i / column_blocks * kRows, rows = std::min(kRows, sites - begin);
    const int64_t first = i % column_blocks * width;
    const int64_t columns = std::min(width, g.out_channels - first);
    auto sum = matrix(scratch, rows, columns, columns);
    if (bias) {
      sum.rowwise() = row_vector(bias + first, columns);
    } else {
      sum.setZero();
    }
    for (int64_t tap = 0; tap < g.taps; ++tap) {
      const auto x =
          gather_rows(in, g.in_pixels, g.in_channels, source + tap * g.out_pixels, g.out_pixels,
                      begin, rows, 0, g.in_channels, scratch + kRows * width);
      const T* w = weight + tap * g.tap_stride + first * g.out_stride;
      if (g.in_stride == 1) {
        sum.noalias() += x * matrix(w, columns, g.in_channels, g.out_stride).transpose();
      } else {
        sum.noalias() += x * matrix(w, g.in_channels, columns, g.in_stride);
      }
    }
    for (int64_t j = 0; j < rows; ++j) {
      const int64_t image = (begin + j) / g.out_pixels, site = (begin + j) % g.out_pixels;
      const int64_t place = (image * g.out_pixels + pixel[site]) * g.out_channels + first;
      if (per_sample)
        sum.row(j) += row_vector(per_sample + image * g.out_channels + first, columns);
      if (residual) sum.row(j) += row_vector(residual + place, columns);
      std::copy_n(scratch + j * columns, columns, out + place);
    }
  });
}

// A piece owns one tap of a block of input channels and walks all images in order, so that nothing
// has to be merged and the sum does not depend on the thread count.
template <class T>
void run_backward_weight(const Conv2dProblem& p, const Conv2dOperands& operands) {
  const Tensor sources = forward_sources(p);
  const int64_t sites = p.images * p.out_pixels();
  const int64_t column_blocks = (p.in_channels + kColumns - 1) / kColumns;
  const T *x = operands.x.data<T>(), *dy = operands.y.data<T>();
  T* dweight = operands.weight.data<T>();
  parallel_for_scratch<T>(p.taps() * column_blocks, kRows * kColumns, [&](int64_t i, T* scratch) {
    const int64_t tap = i / column_blocks, first = i % column_blocks * kColumns;
    const int64_t columns = std::min(kColumns, p.in_channels - first);
    auto sum = matrix(dweight + tap * p.in_channels + first, p.out_channels, columns,
                      p.taps() * p.in_channels);
    sum.setZero();
    for (int64_t begin = 0; begin < sites; begin += kRows) {
      const int64_t rows = std::min(kRows, sites - begin);
      const auto block = gather_rows(x, p.in_pixels(), p.in_channels,
                                     sources.data<int32_t>() + tap * p.out_pixels(), p.out_pixels(),
                                     begin, rows, first, columns, scratch);
      sum.noalias() +=
          matrix(dy + begin * p.out_channels, rows, p.out_channels, p.out_channels).transpose() *
          block;
    }
  });
}

}  // namespace

void tap_gemm_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  const GatherConv g = gather_conv(Conv2dPass::kForward, problem, operands);
  DDPM_FLOATS(problem.dtype, T, { run_gather<T>(g); });
}

void tap_gemm_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  const GatherConv g = gather_conv(Conv2dPass::kBackwardData, problem, operands);
  DDPM_FLOATS(problem.dtype, T, { run_gather<T>(g); });
}

void tap_gemm_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  DDPM_FLOATS(problem.dtype, T, { run_backward_weight<T>(problem, operands); });
}

}  // namespace ddpm::cpu
