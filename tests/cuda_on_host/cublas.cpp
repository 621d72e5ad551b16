#include <cublas_v2.h>

#include "framework/cpu/gemm.h"  // Eigen

struct CudaOnHostBlas {};

namespace {

using Stride = Eigen::OuterStride<>;
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

// op(a) is (rows, columns); op is the identity or the transpose.
template <class T>
Matrix<T> read(cublasOperation_t op, const T* a, int rows, int columns, int ld) {
  if (op == CUBLAS_OP_N)
    return Eigen::Map<const Matrix<T>, 0, Stride>(a, rows, columns, Stride(ld));
  return Eigen::Map<const Matrix<T>, 0, Stride>(a, columns, rows, Stride(ld)).transpose();
}

template <class T>
void multiply(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k, T alpha,
              const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc) {
  Eigen::Map<Matrix<T>, 0, Stride> result(c, m, n, Stride(ldc));
  const Matrix<T> product = read(trans_a, a, m, k, lda) * read(trans_b, b, k, n, ldb);
  // With beta = 0 the old values are not read: they may be anything.
  if (beta == T(0))
    result = alpha * product;
  else
    result = alpha * product + beta * result;
}

template <class T>
cublasStatus_t enqueue_gemm(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n,
                            int k, const void* alpha, const void* a, int lda, long long stride_a,
                            const void* b, int ldb, long long stride_b, const void* beta, void* c,
                            int ldc, long long stride_c, int batch) {
  // Host scalars are read when the call is made.
  const T factor = *static_cast<const T*>(alpha), keep = *static_cast<const T*>(beta);
  cuda_on_host::enqueue([=] {
    for (int i = 0; i < batch; ++i)
      multiply<T>(trans_a, trans_b, m, n, k, factor, static_cast<const T*>(a) + i * stride_a, lda,
                  static_cast<const T*>(b) + i * stride_b, ldb, keep,
                  static_cast<T*>(c) + i * stride_c, ldc);
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

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t trans_a,
                                          cublasOperation_t trans_b, int m, int n, int k,
                                          const void* alpha, const void* a, cudaDataType type_a,
                                          int lda, long long stride_a, const void* b,
                                          cudaDataType type_b, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (type_a != type_c || type_b != type_c ||
      compute != (type_c == CUDA_R_64F ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto gemm = type_c == CUDA_R_64F ? enqueue_gemm<double> : enqueue_gemm<float>;
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
