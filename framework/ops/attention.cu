// CUDA kernels of framework/ops/attention.h: products by cuBLAS over all images at once, one head
// after the other, and softmax with its backward pass fused with the scale. The heads of (N, T, C)
// are never gathered: they are matrices of `width` columns whose rows are C apart.
#include <cmath>

#include "framework/cuda/block_reduce.cuh"
#include "framework/cuda/cublas.h"
#include "framework/cuda/launch.cuh"
#include "framework/ops/attention.h"
#include "framework/ops/softmax.cuh"

namespace ddpm::cuda {
namespace {

// One row-major matrix per image.
template <class T>
struct Batch {
  T* data;
  int64_t row_stride, image_stride;
};

struct Heads {
  int64_t images, length, channels, heads, width;
  double scale;

  Heads(const Shape& query, int count)
      : images(query[0]),
        length(query[1]),
        channels(query[2]),
        heads(count),
        width(query[2] / count),
        scale(1 / std::sqrt(static_cast<double>(width))) {}

  // Of (N, T, C): (T, width) per image.
  template <class T>
  Batch<T> of(const Tensor& t, int64_t head) const {
    return {t.data<T>() + head * width, channels, length * channels};
  }
  // Of (N, heads, T, T): (T, T) per image.
  template <class T>
  Batch<T> weights(const Tensor& t, int64_t head) const {
    return {t.data<T>() + head * length * length, length, heads * length * length};
  }
};

constexpr cublasOperation_t kPlain = CUBLAS_OP_N, kTransposed = CUBLAS_OP_T;

template <class T>
inline constexpr cudaDataType kCudaType = CUDA_R_32F;
template <>
inline constexpr cudaDataType kCudaType<double> = CUDA_R_64F;

// c (rows, columns) = op(a) op(b) with `depth` terms. cuBLAS is column-major and so reads every
// matrix transposed: it is asked for c^T = op(b)^T op(a)^T.
template <class T>
void multiply(int64_t images, int64_t rows, int64_t columns, int64_t depth, cublasOperation_t op_a,
              const Batch<T>& a, cublasOperation_t op_b, const Batch<T>& b, const Batch<T>& c) {
  constexpr cudaDataType kType = kCudaType<T>;
  constexpr auto kCompute = kType == CUDA_R_64F ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  const T one = 1, zero = 0;
  DDPM_CUBLAS_CHECK(cublasGemmStridedBatchedEx(
      cublas(), op_b, op_a, static_cast<int>(columns), static_cast<int>(rows),
      static_cast<int>(depth), &one, b.data, kType, static_cast<int>(b.row_stride), b.image_stride,
      a.data, kType, static_cast<int>(a.row_stride), a.image_stride, &zero, c.data, kType,
      static_cast<int>(c.row_stride), c.image_stride, static_cast<int>(images), kCompute,
      CUBLAS_GEMM_DEFAULT));
}

// In place: p = softmax(scale * p) over rows of `length` elements, one warp per row.
template <class T, int kWidth>
__global__ void softmax_forward_kernel(int64_t rows, int64_t length, T scale, T* p) {
  const int64_t n = warp_row();
  if (n >= rows) return;
  T* row = p + n * length;
  const SoftmaxRow<T> softmax = softmax_row<kWidth>(row, length, scale);
  const T inverse = T(1) / softmax.total;
  for_lane_packs<kWidth>(row, length, [&](int64_t j, Packed<T, kWidth> x) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k)
      x.v[k] = inverse * math::exp(scale * (x.v[k] - softmax.largest));
    store_packed(row + j, x);
  });
}

// In place: ds = scale * p * (ds - sum(ds * p)), where ds comes in as the gradient of p.
template <class T, int kWidth>
__global__ void softmax_backward_kernel(int64_t rows, int64_t length, T scale, const T* p, T* ds) {
  const int64_t n = warp_row();
  if (n >= rows) return;
  const T* weights = p + n * length;
  T* row = ds + n * length;
  T dot = 0;
  for_lane_packs<kWidth>(row, length, [&](int64_t j, const Packed<T, kWidth>& dp) {
    const auto w = load_packed<T, kWidth>(weights + j);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) dot += dp.v[k] * w.v[k];
  });
  dot = warp_sum(dot);
  for_lane_packs<kWidth>(row, length, [&](int64_t j, Packed<T, kWidth> dp) {
    const auto w = load_packed<T, kWidth>(weights + j);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) dp.v[k] = scale * w.v[k] * (dp.v[k] - dot);
    store_packed(row + j, dp);
  });
}

}  // namespace

void attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                       Tensor& weights, Tensor& y) {
  const Heads h(query.shape(), heads);
  if (query.numel() == 0) return;
  Tensor p = weights ? weights
                     : Tensor::empty({h.images, h.heads, h.length, h.length}, query.dtype(),
                                     query.device());
  DDPM_FLOATS(query.dtype(), T, {
    for (int64_t i = 0; i < h.heads; ++i)
      multiply(h.images, h.length, h.length, h.width, kPlain, h.of<T>(query, i), kTransposed,
               h.of<T>(key, i), h.weights<T>(p, i));
    const int64_t rows = h.images * h.heads * h.length;
    with_width<T>(
        h.length,
        [&](auto width) {
          launch(softmax_forward_kernel<T, width()>, blocks_for_rows(rows), kThreads, 0, rows,
                 h.length, static_cast<T>(h.scale), p.data<T>());
        },
        p.raw());
    for (int64_t i = 0; i < h.heads; ++i)
      multiply(h.images, h.length, h.width, h.length, kPlain, h.weights<T>(p, i), kPlain,
               h.of<T>(value, i), h.of<T>(y, i));
  });
}

// With dP = dY V^T:  dS = P * (dP - rowsum(dP * P)), and S = Q K^T / sqrt(width).
void attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& weights, int heads, const Tensor& dy, Tensor& dquery,
                        Tensor& dkey, Tensor& dvalue) {
  const Heads h(query.shape(), heads);
  if (query.numel() == 0) return;
  Tensor ds = Tensor::like(weights);
  DDPM_FLOATS(query.dtype(), T, {
    for (int64_t i = 0; i < h.heads; ++i) {
      multiply(h.images, h.length, h.length, h.width, kPlain, h.of<T>(dy, i), kTransposed,
               h.of<T>(value, i), h.weights<T>(ds, i));
      multiply(h.images, h.length, h.width, h.length, kTransposed, h.weights<T>(weights, i), kPlain,
               h.of<T>(dy, i), h.of<T>(dvalue, i));
    }
    const int64_t rows = h.images * h.heads * h.length;
    with_width<T>(
        h.length,
        [&](auto width) {
          launch(softmax_backward_kernel<T, width()>, blocks_for_rows(rows), kThreads, 0, rows,
                 h.length, static_cast<T>(h.scale), weights.data<T>(), ds.data<T>());
        },
        weights.raw(), ds.raw());
    for (int64_t i = 0; i < h.heads; ++i) {
      multiply(h.images, h.length, h.width, h.length, kPlain, h.weights<T>(ds, i), kPlain,
               h.of<T>(key, i), h.of<T>(dquery, i));
      multiply(h.images, h.length, h.width, h.length, kTransposed, h.weights<T>(ds, i), kPlain,
               h.of<T>(query, i), h.of<T>(dkey, i));
    }
  });
}

}  // namespace ddpm::cuda
