// CUDA kernels of framework/ops/attention.h: products by cuBLAS over many images at once, one head
// after the other, and softmax with its backward pass fused with the scale and, for bf16, with the
// rounding. The heads of (N, T, C) are never gathered: they are matrices of `width` columns whose
// rows are C apart.
#include <algorithm>
#include <cmath>
#include <type_traits>

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
template <>
inline constexpr cudaDataType kCudaType<bf16> = CUDA_R_16BF;

// c (rows, columns) = op(a) op(b) with `depth` terms, summed in the accumulator type. cuBLAS is
// column-major and so reads every matrix transposed: it is asked for c^T = op(b)^T op(a)^T.
template <class T, class Out>
void multiply(int64_t images, int64_t rows, int64_t columns, int64_t depth, cublasOperation_t op_a,
              const Batch<T>& a, cublasOperation_t op_b, const Batch<T>& b, const Batch<Out>& c) {
  constexpr auto kCompute = kCudaType<T> == CUDA_R_64F ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  const Accumulator<T> one = 1, zero = 0;
  DDPM_CUBLAS_CHECK(cublasGemmStridedBatchedEx(
      cublas(), op_b, op_a, static_cast<int>(columns), static_cast<int>(rows),
      static_cast<int>(depth), &one, b.data, kCudaType<T>, static_cast<int>(b.row_stride),
      b.image_stride, a.data, kCudaType<T>, static_cast<int>(a.row_stride), a.image_stride, &zero,
      c.data, kCudaType<Out>, static_cast<int>(c.row_stride), c.image_stride,
      static_cast<int>(images), kCompute, CUBLAS_GEMM_DEFAULT));
}

// p = softmax(scale * s) over rows of `length` elements, one warp per row; p may be s.
template <class T, int kWidth>
__global__ void softmax_forward_kernel(int64_t rows, int64_t length, Accumulator<T> scale,
                                       const Accumulator<T>* s, T* p) {
  using A = Accumulator<T>;
  const int64_t n = warp_row();
  if (n >= rows) return;
  const A* row = s + n * length;
  const SoftmaxRow<A> softmax = softmax_row<kWidth>(row, length, scale);
  const A inverse = A(1) / softmax.total;
  for_lane_packs<kWidth>(row, length, [&](int64_t j, const Packed<A, kWidth>& x) {
    Packed<T, kWidth> result;
#pragma unroll
    for (int k = 0; k < kWidth; ++k)
      result.v[k] = inverse * math::exp(scale * (x.v[k] - softmax.largest));
    store_packed(p + n * length + j, result);
  });
}

// ds = scale * p * (dp - sum(dp * p)), one warp per row; ds may be dp.
template <class T, int kWidth>
__global__ void softmax_backward_kernel(int64_t rows, int64_t length, Accumulator<T> scale,
                                        const T* p, const Accumulator<T>* dp, T* ds) {
  using A = Accumulator<T>;
  const int64_t n = warp_row();
  if (n >= rows) return;
  const T* weights = p + n * length;
  const A* row = dp + n * length;
  A dot = 0;
  for_lane_packs<kWidth>(row, length, [&](int64_t j, const Packed<A, kWidth>& x) {
    const auto w = load_packed<T, kWidth>(weights + j);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) dot += x.v[k] * w.v[k];
  });
  dot = warp_sum(dot);
  for_lane_packs<kWidth>(row, length, [&](int64_t j, const Packed<A, kWidth>& x) {
    const auto w = load_packed<T, kWidth>(weights + j);
    Packed<T, kWidth> result;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) result.v[k] = scale * w.v[k] * (x.v[k] - dot);
    store_packed(ds + n * length + j, result);
  });
}

// Scores need scratch in the shape of P: in the accumulator type, and in T what is rounded from
// that. The images of a batch take turns in it, so that it does not grow with the batch.
template <class T>
inline constexpr bool kIsRounded = !std::is_same_v<T, Accumulator<T>>;

template <class T>
int64_t images_at_once(const Heads& h) {
  constexpr int64_t kScratchBytes = 64 << 20;
  constexpr int64_t kElementBytes = sizeof(Accumulator<T>) + (kIsRounded<T> ? sizeof(T) : 0);
  const int64_t image_bytes = h.heads * h.length * h.length * kElementBytes;
  return std::clamp<int64_t>(kScratchBytes / image_bytes, 1, h.images);
}

// (images, heads, T, T)
Tensor scratch(int64_t images, const Heads& h, DType dtype) {
  return Tensor::empty({images, h.heads, h.length, h.length}, dtype, Device::kCuda);
}

// s is what P is rounded from, or P itself.
template <class T>
void forward(const Heads& h, const Tensor& query, const Tensor& key, const Tensor& value,
             const Tensor& s, const Tensor& p, const Tensor& y) {
  using A = Accumulator<T>;
  const int64_t images = query.shape()[0], rows = images * h.heads * h.length;
  for (int64_t i = 0; i < h.heads; ++i)
    multiply(images, h.length, h.length, h.width, kPlain, h.of<T>(query, i), kTransposed,
             h.of<T>(key, i), h.weights<A>(s, i));
  with_width<A>(
      h.length,
      [&](auto width) {
        launch(softmax_forward_kernel<T, width()>, blocks_for_rows(rows), kThreads, 0, rows,
               h.length, static_cast<A>(h.scale), s.data<A>(), p.data<T>());
      },
      s.raw(), p.raw());
  for (int64_t i = 0; i < h.heads; ++i)
    multiply(images, h.length, h.width, h.length, kPlain, h.weights<T>(p, i), kPlain,
             h.of<T>(value, i), h.of<T>(y, i));
}

// With dP = dY V^T:  dS = P * (dP - rowsum(dP * P)), and S = Q K^T / sqrt(width). dp is what dS is
// rounded from, or dS itself.
template <class T>
void backward(const Heads& h, const Tensor& query, const Tensor& key, const Tensor& value,
              const Tensor& p, const Tensor& dy, const Tensor& dp, const Tensor& ds,
              const Tensor& dquery, const Tensor& dkey, const Tensor& dvalue) {
  using A = Accumulator<T>;
  const int64_t images = query.shape()[0], rows = images * h.heads * h.length;
  for (int64_t i = 0; i < h.heads; ++i) {
    multiply(images, h.length, h.length, h.width, kPlain, h.of<T>(dy, i), kTransposed,
             h.of<T>(value, i), h.weights<A>(dp, i));
    multiply(images, h.length, h.width, h.length, kTransposed, h.weights<T>(p, i), kPlain,
             h.of<T>(dy, i), h.of<T>(dvalue, i));
  }
  with_width<A>(
      h.length,
      [&](auto width) {
        launch(softmax_backward_kernel<T, width()>, blocks_for_rows(rows), kThreads, 0, rows,
               h.length, static_cast<A>(h.scale), p.data<T>(), dp.data<A>(), ds.data<T>());
      },
      p.raw(), dp.raw(), ds.raw());
  for (int64_t i = 0; i < h.heads; ++i) {
    multiply(images, h.length, h.width, h.length, kPlain, h.weights<T>(ds, i), kPlain,
             h.of<T>(key, i), h.of<T>(dquery, i));
    multiply(images, h.length, h.width, h.length, kTransposed, h.weights<T>(ds, i), kPlain,
             h.of<T>(query, i), h.of<T>(dkey, i));
  }
}

}  // namespace

void attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                       Tensor& weights, Tensor& y) {
  const Heads h(query.shape(), heads);
  if (query.numel() == 0) return;
  DDPM_NETWORK_FLOATS(query.dtype(), T, {
    const int64_t chunk = images_at_once<T>(h);
    const Tensor p_scratch = weights ? Tensor() : scratch(chunk, h, dtype_of<T>);
    const Tensor s_scratch = kIsRounded<T> ? scratch(chunk, h, dtype_of<Accumulator<T>>) : Tensor();
    for (int64_t begin = 0; begin < h.images; begin += chunk) {
      const auto part = [&](const Tensor& t) {
        return t.slice(begin, std::min(begin + chunk, h.images));
      };
      const Tensor p = weights ? part(weights) : p_scratch;
      forward<T>(h, part(query), part(key), part(value), s_scratch ? s_scratch : p, p, part(y));
    }
  });
}

void attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& weights, int heads, const Tensor& dy, Tensor& dquery,
                        Tensor& dkey, Tensor& dvalue) {
  const Heads h(query.shape(), heads);
  if (query.numel() == 0) return;
  DDPM_NETWORK_FLOATS(query.dtype(), T, {
    const int64_t chunk = images_at_once<T>(h);
    const Tensor ds = scratch(chunk, h, dtype_of<T>);
    const Tensor dp = kIsRounded<T> ? scratch(chunk, h, dtype_of<Accumulator<T>>) : ds;
    for (int64_t begin = 0; begin < h.images; begin += chunk) {
      const auto part = [&](const Tensor& t) {
        return t.slice(begin, std::min(begin + chunk, h.images));
      };
      backward<T>(h, part(query), part(key), part(value), part(weights), part(dy), dp, ds,
                  part(dquery), part(dkey), part(dvalue));
    }
  });
}

}  // namespace ddpm::cuda
