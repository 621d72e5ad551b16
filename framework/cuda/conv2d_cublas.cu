#include "framework/core/dispatch.h"
#include "framework/cuda/conv2d_cublas.h"
#include "framework/cuda/cublas.h"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {
namespace {

template <int kWidth, class T>
__global__ void repeat_row_kernel(const T* row, unsigned columns, unsigned elements, T* out) {
  const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * kWidth;
  if (i < elements) store_packed(out + i, load_packed<T, kWidth>(row + i % columns));
}

// Every row of `out` becomes `row`.
template <class T>
void repeat_row(const T* row, int64_t columns, int64_t elements, T* out) {
  with_width<T>(
      columns,
      [&](auto width) {
        launch(repeat_row_kernel<width(), T>, blocks_for(elements / width()), kThreads, 0, row,
               static_cast<unsigned>(columns), static_cast<unsigned>(elements), out);
      },
      row, out);
}

// c (m, n) = op(a) op(b), with c's old values added when `adds`. Matrices are column-major, the
// leading extents of a and b theirs in memory: a row-major product is asked for as its transpose.
template <class T>
void gemm(cublasOperation_t op_a, cublasOperation_t op_b, int64_t m, int64_t n, int64_t k,
          const T* a, int64_t lda, const T* b, int64_t ldb, bool adds, T* c) {
  constexpr bool kIsF64 = sizeof(T) == 8;
  constexpr cudaDataType kType = kIsF64 ? CUDA_R_64F : CUDA_R_32F;
  const T alpha = 1, beta = adds ? 1 : 0;
  const auto narrow = [](int64_t value) { return static_cast<int>(value); };
  DDPM_CUBLAS_CHECK(cublasGemmEx(cublas(), op_a, op_b, narrow(m), narrow(n), narrow(k), &alpha, a,
                                 kType, narrow(lda), b, kType, narrow(ldb), &beta, c, kType,
                                 narrow(m), kIsF64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 CUBLAS_GEMM_DEFAULT));
}

int64_t rows_of(const Conv2dProblem& p) { return p.images * p.out_pixels(); }

}  // namespace

// Counts of cuBLAS are 32 bits wide.
bool cublas_supports(const Conv2dProblem& p) {
  const bool is_float = p.dtype == DType::kF32 || p.dtype == DType::kF64;
  return is_float && p.is_pointwise() && rows_of(p) * p.in_channels <= INT32_MAX &&
         rows_of(p) * p.out_channels <= INT32_MAX;
}

// y (rows, K) = x (rows, C) weight (K, C)^T + bias
void cublas_forward(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_FLOATS(p.dtype, T, {
    T* y = operands.y.data<T>();
    const bool has_bias = static_cast<bool>(operands.bias);
    if (has_bias) repeat_row<T>(operands.bias.data<T>(), p.out_channels, operands.y.numel(), y);
    gemm<T>(CUBLAS_OP_T, CUBLAS_OP_N, p.out_channels, rows_of(p), p.in_channels,
            operands.weight.data<T>(), p.in_channels, operands.x.data<T>(), p.in_channels, has_bias,
            y);
  });
}

// dx (rows, C) = dy (rows, K) weight (K, C) + bias
void cublas_backward_data(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_FLOATS(p.dtype, T, {
    T* dx = operands.x.data<T>();
    const bool has_bias = static_cast<bool>(operands.bias);
    if (has_bias) repeat_row<T>(operands.bias.data<T>(), p.in_channels, operands.x.numel(), dx);
    gemm<T>(CUBLAS_OP_N, CUBLAS_OP_N, p.in_channels, rows_of(p), p.out_channels,
            operands.weight.data<T>(), p.in_channels, operands.y.data<T>(), p.out_channels,
            has_bias, dx);
  });
}

// dweight (K, C) = dy (rows, K)^T x (rows, C)
void cublas_backward_weight(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_FLOATS(p.dtype, T, {
    gemm<T>(CUBLAS_OP_N, CUBLAS_OP_T, p.in_channels, p.out_channels, rows_of(p),
            operands.x.data<T>(), p.in_channels, operands.y.data<T>(), p.out_channels, false,
            operands.weight.data<T>());
  });
}

}  // namespace ddpm::cuda
