// The CUDA half of framework/core/memory.h.
#include "framework/core/memory.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"

namespace ddpm::cuda {

namespace {

constexpr int kOldestCapability = 75;

__global__ void probe_kernel() {}

}  // namespace

memory::GpuInfo gpu_info() {
  memory::GpuInfo info;
  cudaDriverGetVersion(&info.driver_version);
  cudaRuntimeGetVersion(&info.runtime_version);
  cudaDeviceProp properties{};
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0 &&
      cudaGetDeviceProperties(&properties, 0) == cudaSuccess) {
    info.name = properties.name;
    info.capability = 10 * properties.major + properties.minor;
    info.memory_bytes = properties.totalGlobalMem;
  }
  cudaGetLastError();  // a missing device is no error that a later check should find
  return info;
}

std::string unavailable_reason() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  const memory::GpuInfo gpu = gpu_info();
  if (status == cudaErrorInsufficientDriver && gpu.driver_version == 0)
    return "no NVIDIA driver is installed";
  if (status == cudaErrorInsufficientDriver)
    return fmt::format("the NVIDIA driver is too old: it supports CUDA {}, this program needs {}",
                       memory::cuda_version_name(gpu.driver_version),
                       memory::cuda_version_name(gpu.runtime_version));
  if (status == cudaErrorNoDevice || (status == cudaSuccess && devices == 0))
    return "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it";
  if (status != cudaSuccess) return cudaGetErrorString(status);
  if (gpu.capability < kOldestCapability)
    return fmt::format("{} has compute capability {}, this program needs {} or later", gpu.name,
                       memory::capability_name(gpu.capability),
                       memory::capability_name(kOldestCapability));
  cudaFuncAttributes attributes;
  const cudaError_t code = cudaFuncGetAttributes(&attributes, probe_kernel);
  cudaGetLastError();
  if (code == cudaErrorNoKernelImageForDevice)
    return fmt::format(
        "{} has compute capability {}, for which this program holds no code: build it with "
        "-DCMAKE_CUDA_ARCHITECTURES={}",
        gpu.name, memory::capability_name(gpu.capability), gpu.capability);
  if (code != cudaSuccess) return fmt::format("{}: {}", gpu.name, cudaGetErrorString(code));
  return "";
}

std::byte* allocate(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the device is fine: do not let a later check find this error
    size_t available = 0, total = 0;
    DDPM_CUDA_CHECK(cudaMemGetInfo(&available, &total));
    throw memory::OutOfMemory(fmt::format(
        "out of device memory: {} were asked for, {} of {} are free", memory::binary_size(bytes),
        memory::binary_size(available), memory::binary_size(total)));
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
