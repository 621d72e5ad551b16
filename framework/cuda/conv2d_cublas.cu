#include "framework/core/dispatch.h"
#include "framework/cuda/conv2d_cublas.h"
#include "framework/cuda/conv2d_product.cuh"
#include "framework/cuda/cublas.h"

namespace ddpm::cuda {
namespace {

template <class T>
constexpr cudaDataType kTypeOf = std::is_same_v<T, double>  ? CUDA_R_64F
                                 : std::is_same_v<T, float> ? CUDA_R_32F
                                                            : CUDA_R_16BF;

// c (m, n) = op(a) op(b). Matrices are column-major, the leading extents of a and b theirs in
// memory: a row-major product is asked for as its transpose.
template <class T, class Out>
void gemm(cublasOperation_t op_a, cublasOperation_t op_b, int64_t m, int64_t n, int64_t k,
          const T* a, int64_t lda, const T* b, int64_t ldb, Out* c) {
  using Sum = Accumulator<T>;
  constexpr auto kCompute = sizeof(Sum) == 8 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  const Sum alpha = 1, beta = 0;
  const auto narrow = [](int64_t value) { return static_cast<int>(value); };
  DDPM_CUBLAS_CHECK(cublasGemmEx(cublas(), op_a, op_b, narrow(m), narrow(n), narrow(k), &alpha, a,
                                 kTypeOf<T>, narrow(lda), b, kTypeOf<T>, narrow(ldb), &beta, c,
                                 kTypeOf<Out>, narrow(m), kCompute, CUBLAS_GEMM_DEFAULT));
}

int64_t rows_of(const Conv2dProblem& p) { return p.images * p.out_pixels(); }

// multiply(c) for the result, or, where something is added to it, for sums that are rounded with
// the addends once: cuBLAS could add only what was rounded into the result before.
template <class T, class Multiply>
void with_addends(const Conv2dOperands& operands, const Tensor& out, int64_t columns,
                  int64_t pixels, Multiply multiply) {
  if (!operands.bias && !operands.per_sample && !operands.residual) return multiply(out.data<T>());
  using Sum = Accumulator<T>;
  constexpr int kPacked = Packed<Sum>::kSize;
  const Tensor sums = Tensor::empty(out.shape(), dtype_of<Sum>, Device::kCuda);
  multiply(sums.data<Sum>());
  const bool is_packed = columns % kPacked == 0 && are_packable(operands);
  const auto result = result_of<T>(operands, out, columns, pixels, is_packed, sums);
  if (is_packed)
    launch(sum_pieces_kernel<T, kPacked>, blocks_for(out.numel() / kPacked), kThreads, 0, result,
           1);
  else
    launch(sum_pieces_kernel<T, 1>, blocks_for(out.numel()), kThreads, 0, result, 1);
}

}  // namespace

// Counts of cuBLAS are 32 bits wide.
bool cublas_supports(const Conv2dProblem& p) {
  return p.is_pointwise() && rows_of(p) * p.in_channels <= INT32_MAX &&
         rows_of(p) * p.out_channels <= INT32_MAX;
}

// y (rows, K) = x (rows, C) weight (K, C)^T + addends
void cublas_forward(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_NETWORK_FLOATS(p.dtype, T, {
    with_addends<T>(operands, operands.y, p.out_channels, p.out_pixels(), [&](auto* y) {
      gemm(CUBLAS_OP_T, CUBLAS_OP_N, p.out_channels, rows_of(p), p.in_channels,
           operands.weight.data<T>(), p.in_channels, operands.x.data<T>(), p.in_channels, y);
    });
  });
}

void cublas_forward_sums(const Conv2dProblem& p, const Tensor& x, const Tensor& weight,
                         const Tensor& sums) {
  gemm(CUBLAS_OP_T, CUBLAS_OP_N, p.out_channels, rows_of(p), p.in_channels, weight.data<bf16>(),
       p.in_channels, x.data<bf16>(), p.in_channels, sums.data<float>());
}

// dx (rows, C) = dy (rows, K) weight (K, C) + bias
void cublas_backward_data(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_NETWORK_FLOATS(p.dtype, T, {
    with_addends<T>(operands, operands.x, p.in_channels, p.in_pixels(), [&](auto* dx) {
      gemm(CUBLAS_OP_N, CUBLAS_OP_N, p.in_channels, rows_of(p), p.out_channels,
           operands.weight.data<T>(), p.in_channels, operands.y.data<T>(), p.out_channels, dx);
    });
  });
}

// dweight (K, C) = dy (rows, K)^T x (rows, C)
void cublas_backward_weight(const Conv2dProblem& p, const Conv2dOperands& operands) {
  DDPM_NETWORK_FLOATS(p.dtype, T, {
    gemm(CUBLAS_OP_N, CUBLAS_OP_T, p.in_channels, p.out_channels, rows_of(p), operands.x.data<T>(),
         p.in_channels, operands.y.data<T>(), p.out_channels,
         operands.weight.data<Accumulator<T>>());
  });
}

}  // namespace ddpm::cuda
