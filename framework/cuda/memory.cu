// The CUDA half of framework/core/memory.h.
#include "framework/core/memory.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"

namespace ddpm::cuda {

bool is_available() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

std::byte* allocate(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the device is fine: do not let a later check find this error
    size_t available = 0, total = 0;
    DDPM_CUDA_CHECK(cudaMemGetInfo(&available, &total));
    fail("out of device memory: {} bytes were asked for, {} of {} are free", bytes, available,
         total);
  }
  DDPM_CUDA_CHECK(status);
  return static_cast<std::byte*>(block);
}

// Also called when the program ends, where the driver may be gone already: failures are ignored.
void release(std::byte* block) { cudaFree(block); }

void zero(std::byte* destination, size_t bytes) {
  if (bytes) DDPM_CUDA_CHECK(cudaMemsetAsync(destination, 0, bytes, stream()));
}

void copy(std::byte* destination, const std::byte* source, size_t bytes) {
  if (bytes)
    DDPM_CUDA_CHECK(
        cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream()));
}

void copy_from_host(std::byte* destination, const void* source, size_t bytes) {
  if (!bytes) return;
  DDPM_CUDA_CHECK(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream()));
  synchronize();
}

void copy_to_host(void* destination, const std::byte* source, size_t bytes) {
  if (!bytes) return;
  DDPM_CUDA_CHECK(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToHost, stream()));
  synchronize();
}

}  // namespace ddpm::cuda
