#include <cublas_v2.h>

#include <cstdint>

#include "framework/core/bf16.h"
#include "framework/cpu/gemm.h"  // Eigen

struct CudaOnHostBlas {};

namespace {

using ddpm::Accumulator, ddpm::bf16;
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

// op(a) is (rows, columns); op is the identity or the transpose.
template <class T>
Matrix<Accumulator<T>> read(cublasOperation_t op, const T* a, int rows, int columns, int ld) {
  Matrix<Accumulator<T>> result(rows, columns);
  const int64_t row_step = op == CUBLAS_OP_N ? 1 : ld, column_step = op == CUBLAS_OP_N ? ld : 1;
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < rows; ++i) result(i, j) = a[i * row_step + j * column_step];
  return result;
}

template <class T, class Out>
void multiply(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k,
              Accumulator<T> alpha, const T* a, int lda, const T* b, int ldb, Accumulator<T> beta,
              Out* c, int ldc) {
  const Matrix<Accumulator<T>> product = read(trans_a, a, m, k, lda) * read(trans_b, b, k, n, ldb);
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < m; ++i) {
      Out& result = c[i + int64_t{j} * ldc];
      // With beta = 0 the old values are not read: they may be anything.
      result = beta == 0 ? alpha * product(i, j) : alpha * product(i, j) + beta * result;
    }
}

template <class T, class Out = T>
cublasStatus_t enqueue_gemm(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n,
                            int k, const void* alpha, const void* a, int lda, long long stride_a,
                            const void* b, int ldb, long long stride_b, const void* beta, void* c,
                            int ldc, long long stride_c, int batch) {
  // Host scalars are read when the call is made.
  const auto factor = *static_cast<const Accumulator<T>*>(alpha);
  const auto keep = *static_cast<const Accumulator<T>*>(beta);
  cuda_on_host::enqueue([=] {
    for (int i = 0; i < batch; ++i)
      multiply(trans_a, trans_b, m, n, k, factor, static_cast<const T*>(a) + i * stride_a, lda,
               static_cast<const T*>(b) + i * stride_b, ldb, keep,
               static_cast<Out*>(c) + i * stride_c, ldc);
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "the operation is not supported";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new CudaOnHostBlas;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace(cublasHandle_t, void*, size_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t trans_a,
                                          cublasOperation_t trans_b, int m, int n, int k,
                                          const void* alpha, const void* a, cudaDataType type_a,
                                          int lda, long long stride_a, const void* b,
                                          cudaDataType type_b, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  const bool is_f64 = type_a == CUDA_R_64F, is_bf16 = type_a == CUDA_R_16BF;
  if (type_a != type_b || (type_c != type_a && !(is_bf16 && type_c == CUDA_R_32F)) ||
      compute != (is_f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto gemm = is_f64                 ? enqueue_gemm<double>
                    : !is_bf16             ? enqueue_gemm<float>
                    : type_c == CUDA_R_32F ? enqueue_gemm<bf16, float>
                                           : enqueue_gemm<bf16>;
  return gemm(trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc,
              stride_c, batch);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t trans_a,
                            cublasOperation_t trans_b, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType type_a, int lda, const void* b,
                            cudaDataType type_b, int ldb, const void* beta, void* c,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, trans_a, trans_b, m, n, k, alpha, a, type_a, lda, 0, b,
                                    type_b, ldb, 0, beta, c, type_c, ldc, 0, 1, compute, algorithm);
}
