#include "framework/core/memory.h"
#include "framework/cuda/conv2d_algorithms.h"
#include "framework/cuda/conv2d_cublas.h"
#include "framework/cuda/conv2d_product.cuh"
#include "framework/cuda/conv2d_thin.h"
#include "framework/cuda/mma.cuh"

namespace ddpm::cuda {
namespace {

constexpr int kColumns = 64;  // of the unrolled side, the last of which are zeros

// What of the thin image lies side by side: its channels under every tap (tap, channel), as the
// forward pass meets them, or, for the adjoint, every channel's taps (channel, tap), mirrored. In
// this order the weights (K, R, S, C) are a matrix (K, columns) or (columns, C) as they are.
enum class Order { kForward, kAdjoint };

// One column: an element at a place relative to the pixel of a row.
struct Neighbour {
  int line, column, channel;
};

template <Order kOrder>
__device__ Neighbour neighbour_of(const Conv2dExtents& e, int index) {
  const int taps = e.kernel_height * e.kernel_width;
  const int tap = kOrder == Order::kForward ? index / e.in_channels : index % taps;
  const int r = tap / e.kernel_width, s = tap % e.kernel_width;
  if (kOrder == Order::kForward) return {r - e.pad_top, s - e.pad_left, index % e.in_channels};
  return {e.pad_top - r, e.pad_left - s, index / taps};
}

// out (pixels of the wide side, kColumns), eight columns a thread.
template <Order kOrder>
__global__ void unroll_kernel(Conv2dExtents e, const bf16* image, bf16* out) {
  constexpr bool kIsForward = kOrder == Order::kForward;
  constexpr int kWidth = 8, kAcross = kColumns / kWidth;
  const int height = kIsForward ? e.in_height : e.out_height;
  const int width = kIsForward ? e.in_width : e.out_width;
  const int channels = kIsForward ? e.in_channels : e.out_channels;
  const int rows = kIsForward ? e.out_height : e.in_height;
  const int row_pixels = kIsForward ? e.out_width : e.in_width;
  const int columns = channels * e.kernel_height * e.kernel_width;

  __shared__ Neighbour neighbours[kColumns];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < columns) neighbours[thread] = neighbour_of<kOrder>(e, thread);
  __syncthreads();

  const int pixel = static_cast<int>(global_thread() / kAcross), first = thread % kAcross * kWidth;
  if (pixel >= e.images * rows * row_pixels) return;
  const int column = pixel % row_pixels, line = pixel / row_pixels % rows;
  const int first_line = pixel / row_pixels / rows * height;
  Packed<bf16, kWidth> values;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    values.v[k] = bf16(0.0f);
    if (first + k >= columns) continue;
    const Neighbour n = neighbours[first + k];
    const int y = line + n.line, x = column + n.column;
    if (0 <= y && y < height && 0 <= x && x < width)
      values.v[k] = image[(int64_t{first_line + y} * width + x) * channels + n.channel];
  }
  store_packed(out + int64_t{pixel} * kColumns + first, values);
}

template <Order kOrder>
Tensor unroll(const Conv2dProblem& p, const Tensor& image) {
  constexpr bool kIsForward = kOrder == Order::kForward;
  const Shape shape{p.images, kIsForward ? p.out_height : p.in_height,
                    kIsForward ? p.out_width : p.in_width, kColumns};
  const Tensor out = Tensor::empty(shape, DType::kBf16, Device::kCuda);
  launch(unroll_kernel<kOrder>, blocks_for(out.numel() / 8), kThreads, 0, extents_of(p),
         static_cast<const bf16*>(image.data<bf16>()), out.data<bf16>());
  return out;
}

struct Strides {
  int64_t row, column;
};

// to (rows, columns) = from, of which only so many rows and columns exist; the others are zeros.
template <class T>
__global__ void copy_matrix_kernel(const T* from, Strides strides, int rows, int columns, T* to,
                                   int to_columns, int count) {
  const int i = static_cast<int>(global_thread());
  if (i >= count) return;
  const int row = i / to_columns, column = i % to_columns;
  to[i] =
      row < rows && column < columns ? from[row * strides.row + column * strides.column] : T(0.0f);
}

template <class T>
void copy_matrix(const Tensor& from, Strides strides, int64_t rows, int64_t columns,
                 const Tensor& to, int64_t to_columns) {
  launch(copy_matrix_kernel<T>, blocks_for(to.numel()), kThreads, 0,
         static_cast<const T*>(from.data<T>()), strides, static_cast<int>(rows),
         static_cast<int>(columns), to.data<T>(), static_cast<int>(to_columns),
         static_cast<int>(to.numel()));
}

Tensor matrix(int64_t rows, int64_t columns, DType dtype) {
  return Tensor::empty({rows, 1, 1, columns}, dtype, Device::kCuda);
}

// A pointwise convolution on the pixels of a pass over `images` images of that extent.
Conv2dProblem pointwise(const Conv2dProblem& p, int64_t height, int64_t width, int64_t in_channels,
                        int64_t out_channels) {
  return {p.dtype, p.images, height, width, in_channels, height, width, out_channels};
}

// Sums of a pixel's taps from their products (pixels, pitch) with the pixels around, in order.
__global__ void sum_taps_kernel(Conv2dExtents e, const float* products, int pitch,
                                Conv2dResult<bf16> result) {
  const int64_t i = global_thread();
  if (i >= result.elements) return;
  const int pixel = static_cast<int>(i / e.out_channels), k = static_cast<int>(i % e.out_channels);
  const int column = pixel % e.out_width, line = pixel / e.out_width % e.out_height;
  const int first_line = pixel / e.out_width / e.out_height * e.in_height;
  const int taps = e.kernel_height * e.kernel_width;
  float sums[1] = {0};
  for (int r = 0; r < e.kernel_height; ++r)
    for (int s = 0; s < e.kernel_width; ++s) {
      const int y = line + r - e.pad_top, x = column + s - e.pad_left;
      if (0 <= y && y < e.in_height && 0 <= x && x < e.in_width)
        sums[0] += products[(int64_t{first_line + y} * e.in_width + x) * pitch + k * taps +
                            r * e.kernel_width + s];
    }
  result.finish(pixel, k, sums);
}

bool is_thin(const Conv2dProblem& p, int64_t channels) { return channels * p.taps() <= kColumns; }

bool is_supported(const Conv2dProblem& p) {
  static const bool has_tensor_cores = memory::gpu_info().capability >= kLeastMmaCapability;
  return has_tensor_cores && p.dtype == DType::kBf16 && p.stride == 1 && p.taps() > 1 &&
         product_is_countable(p) && p.images > 0;
}

// y (pixels, K) = x unrolled times the weights (K, columns)
void forward_of_thin_input(const Conv2dProblem& p, const Conv2dOperands& o) {
  const int64_t columns = p.taps() * p.in_channels;
  const Tensor weight = matrix(p.out_channels, kColumns, DType::kBf16);
  copy_matrix<bf16>(o.weight, {columns, 1}, p.out_channels, columns, weight, kColumns);
  run_conv2d(Conv2dPass::kForward,
             pointwise(p, p.out_height, p.out_width, kColumns, p.out_channels),
             {unroll<Order::kForward>(p, o.x), weight, o.bias, o.y, o.per_sample, o.residual,
              o.feeds_norm});
}

// The products (pixels of x, columns) with the weights (columns, C), then their sums
void forward_of_thin_output(const Conv2dProblem& p, const Conv2dOperands& o) {
  const int64_t columns = p.taps() * p.out_channels, pitch = ceil_div(columns, 32) * 32;
  const Tensor weight = matrix(pitch, p.in_channels, DType::kBf16);
  copy_matrix<bf16>(o.weight, {p.in_channels, 1}, columns, p.in_channels, weight, p.in_channels);
  const Conv2dProblem product = pointwise(p, p.in_height, p.in_width, p.in_channels, pitch);
  const Tensor products =
      Tensor::empty({p.images * p.in_pixels(), pitch}, DType::kF32, Device::kCuda);
  cublas_forward_sums(product, o.x, weight, products);
  launch(sum_taps_kernel, blocks_for(o.y.numel()), kThreads, 0, extents_of(p),
         static_cast<const float*>(products.data<float>()), static_cast<int>(pitch),
         result_of<bf16>(o, o.y, p.out_channels, p.out_pixels(), false));
}

}  // namespace

bool thin_supports_forward(const Conv2dProblem& p) {
  return is_supported(p) && (is_thin(p, p.in_channels) || is_thin(p, p.out_channels));
}
bool thin_supports_backward_data(const Conv2dProblem& p) {
  return is_supported(p) && is_thin(p, p.out_channels);
}
bool thin_supports_backward_weight(const Conv2dProblem& p) { return thin_supports_forward(p); }

void thin_forward(const Conv2dProblem& p, const Conv2dOperands& o) {
  if (is_thin(p, p.in_channels))
    forward_of_thin_input(p, o);
  else
    forward_of_thin_output(p, o);
}

// dx (pixels, C) = dy unrolled times the weights (columns, C)
void thin_backward_data(const Conv2dProblem& p, const Conv2dOperands& o) {
  const Tensor weight = matrix(p.in_channels, kColumns, DType::kBf16);
  copy_matrix<bf16>(o.weight, {1, p.in_channels}, p.in_channels, p.taps() * p.out_channels, weight,
                    kColumns);
  run_conv2d(Conv2dPass::kForward, pointwise(p, p.in_height, p.in_width, kColumns, p.in_channels),
             {unroll<Order::kAdjoint>(p, o.y), weight, o.bias, o.x, {}, {}, o.feeds_norm});
}

// dweight (K, columns) = dy^T times x unrolled, or (columns, C) = dy unrolled ^T times x
void thin_backward_weight(const Conv2dProblem& p, const Conv2dOperands& o) {
  if (is_thin(p, p.in_channels)) {
    const Tensor sums = matrix(p.out_channels, kColumns, DType::kF32);
    run_conv2d(Conv2dPass::kBackwardWeight,
               pointwise(p, p.out_height, p.out_width, kColumns, p.out_channels),
               {unroll<Order::kForward>(p, o.x), sums, {}, o.y});
    const int64_t columns = p.taps() * p.in_channels;
    copy_matrix<float>(sums, {kColumns, 1}, p.out_channels, columns, o.weight, columns);
    return;
  }
  const Tensor sums = matrix(kColumns, p.in_channels, DType::kF32);
  run_conv2d(Conv2dPass::kBackwardWeight,
             pointwise(p, p.in_height, p.in_width, p.in_channels, kColumns),
             {o.x, sums, {}, unroll<Order::kAdjoint>(p, o.y)});
  copy_matrix<float>(sums, {p.in_channels, 1}, p.taps() * p.out_channels, p.in_channels, o.weight,
                     p.in_channels);
}

}  // namespace ddpm::cuda
