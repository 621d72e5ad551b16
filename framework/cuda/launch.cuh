// How every kernel is launched, and how it finds its dynamic shared memory and its place in the
// grid:
//
//   cuda::launch(silu_kernel<float>, cuda::blocks_for(n), cuda::kThreads, 0, x, y, n);
//
// No file uses <<<>>>, so that the same sources also compile as plain C++ (tests/cuda_on_host).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#include "framework/core/tensor.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"

namespace ddpm::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kThreads = 256;  // per block, of kernels with one thread per element

constexpr __host__ __device__ int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks of kThreads threads with at least one thread for each of n elements.
inline int64_t blocks_for(int64_t n) { return ceil_div(n, kThreads); }

// The number of this thread among all threads of a one-dimensional grid.
__device__ inline int64_t global_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// What a kernel gets for an operand that may be missing.
template <class T>
T* data_or_null(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

// Extents of a grid, and the line that launches it: that is what an error can name.
struct Grid {
  Grid(int64_t count, std::source_location location = std::source_location::current())
      : blocks(static_cast<unsigned>(count)), where(location) {
    DDPM_ASSERT(count <= INT32_MAX, "a grid of {} blocks", count);
  }
  Grid(dim3 extents, std::source_location location = std::source_location::current())
      : blocks(extents), where(location) {}

  dim3 blocks;
  std::source_location where;
};

// A grid without blocks launches nothing: the kernel has no element to work on.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, size_t shared_bytes,
            Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  constexpr size_t kSharedBytesWithoutAsking = 48 << 10;
  if (shared_bytes > kSharedBytesWithoutAsking)
    DDPM_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(shared_bytes)));
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream();
  const cudaError_t status =
      cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
  if (status != cudaSuccess)
    fail("{}:{}: the kernel of {} in a grid of ({}, {}, {}) blocks of ({}, {}, {}) threads: {}",
         grid.where.file_name(), grid.where.line(), grid.where.function_name(), grid.blocks.x,
         grid.blocks.y, grid.blocks.z, block.x, block.y, block.z, cudaGetErrorString(status));
}

// The block's dynamic shared memory, aligned for every use.
template <class T>
__device__ T* dynamic_shared() {
#ifdef DDPM_CUDA_ON_HOST
  return reinterpret_cast<T*>(cuda_on_host::dynamic_shared());
#else
  extern __shared__ __align__(1024) unsigned char dynamic_shared_bytes[];
  return reinterpret_cast<T*>(dynamic_shared_bytes);
#endif
}

}  // namespace ddpm::cuda
