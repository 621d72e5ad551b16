// The cuBLAS handle of the program: bound to cuda::stream(), with a workspace of its own from the
// start, so that a captured step never makes it allocate.
#pragma once

#include <cublas_v2.h>

#include "framework/core/check.h"

#define DDPM_CUBLAS_CHECK(expression)                                                      \
  do {                                                                                     \
    const cublasStatus_t cublas_status = (expression);                                     \
    if (cublas_status != CUBLAS_STATUS_SUCCESS)                                            \
      ::ddpm::fail("{}:{}: {}: {} ({})", __FILE__, __LINE__, #expression,                  \
                   cublasGetStatusString(cublas_status), static_cast<int>(cublas_status)); \
  } while (0)

namespace ddpm::cuda {

cublasHandle_t cublas();

}  // namespace ddpm::cuda
