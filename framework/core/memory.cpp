#include "framework/core/memory.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <cstring>

#include "framework/core/dispatch.h"

namespace ddpm {

// Declared here and defined by each backend: framework/cuda/memory.cu has the CUDA half.
namespace cuda {
std::string unavailable_reason();
memory::GpuInfo gpu_info();
std::byte* allocate(size_t bytes);
void release(std::byte* block);
void zero(std::byte* destination, size_t bytes);
void copy(std::byte* destination, const std::byte* source, size_t bytes);
void copy_from_host(std::byte* destination, const void* source, size_t bytes);
void copy_to_host(void* destination, const std::byte* source, size_t bytes);
}  // namespace cuda

namespace cpu {
namespace {

// Large blocks lie on huge pages where the system grants them: fewer faults at the start, and fewer
// misses of the address cache on every pass.
std::byte* allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const bool is_large = bytes >= 2 * kHugePage;
  const size_t alignment = is_large ? kHugePage : memory::kAlignment;
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;  // as the function asks
  void* block = std::aligned_alloc(alignment, whole);
  if (!block)
    throw memory::OutOfMemory(
        fmt::format("out of memory: {} were asked for", memory::binary_size(bytes)));
#ifdef __linux__
  if (is_large) madvise(block, bytes, MADV_HUGEPAGE);  // a wish: that it is refused is no error
#endif
  return static_cast<std::byte*>(block);
}
void release(std::byte* block) { std::free(block); }
void zero(std::byte* destination, size_t bytes) { std::memset(destination, 0, bytes); }
void copy(std::byte* destination, const std::byte* source, size_t bytes) {
  std::memcpy(destination, source, bytes);
}
void copy_from_host(std::byte* destination, const void* source, size_t bytes) {
  if (bytes) std::memcpy(destination, source, bytes);
}
void copy_to_host(void* destination, const std::byte* source, size_t bytes) {
  if (bytes) std::memcpy(destination, source, bytes);
}

}  // namespace
}  // namespace cpu

namespace memory {

bool is_built_for([[maybe_unused]] Device device) {
#ifdef DDPM_WITH_CUDA
  return true;
#else
  return device == Device::kCpu;
#endif
}

std::string unavailable_reason(Device device) {
  if (device == Device::kCpu) return "";
#ifdef DDPM_WITH_CUDA
  return cuda::unavailable_reason();
#else
  return "this program was built without CUDA";
#endif
}

GpuInfo gpu_info() {
#ifdef DDPM_WITH_CUDA
  return cuda::gpu_info();
#else
  return {};
#endif
}

std::string capability_name(int capability) {
  return fmt::format("{}.{}", capability / 10, capability % 10);
}

std::string cuda_version_name(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string binary_size(size_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = larger;
  }
  return fmt::format("{:.4g} {}", value, unit);
}

std::byte* allocate(Device device, size_t bytes) {
  std::byte* block = nullptr;
  DDPM_DISPATCH_RESULT(device, block, allocate(bytes));
  return block;
}
void release(Device device, std::byte* block) { DDPM_DISPATCH(device, release(block)); }
void zero(Device device, std::byte* destination, size_t bytes) {
  DDPM_DISPATCH(device, zero(destination, bytes));
}
void copy(Device device, std::byte* destination, const std::byte* source, size_t bytes) {
  DDPM_DISPATCH(device, copy(destination, source, bytes));
}
void copy_from_host(Device device, std::byte* destination, const void* source, size_t bytes) {
  DDPM_DISPATCH(device, copy_from_host(destination, source, bytes));
}
void copy_to_host(Device device, void* destination, const std::byte* source, size_t bytes) {
  DDPM_DISPATCH(device, copy_to_host(destination, source, bytes));
}

}  // namespace memory
}  // namespace ddpm
