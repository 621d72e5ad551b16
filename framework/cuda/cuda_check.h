// DDPM_CUDA_CHECK(cudaMalloc(&p, n)): a call of the CUDA runtime that must succeed. The error names
// the expression, the file and the line.
#pragma once

#include <cuda_runtime.h>

#include "framework/core/check.h"

#define DDPM_CUDA_CHECK(expression)                                                 \
  do {                                                                              \
    const cudaError_t cuda_status = (expression);                                   \
    if (cuda_status != cudaSuccess)                                                 \
      ::ddpm::fail("{}:{}: {}: {} ({})", __FILE__, __LINE__, #expression,           \
                   cudaGetErrorString(cuda_status), static_cast<int>(cuda_status)); \
  } while (0)
