// Devices and their raw memory: the few calls a backend must offer before it has any op.
#pragma once

#include <cstddef>
#include <string>

#include "framework/core/check.h"
#include "framework/core/dtype.h"

namespace ddpm::memory {

inline constexpr size_t kAlignment = 256;  // bytes; covers a cache line and a TMA descriptor

bool is_built_for(Device device);
// Why this program cannot use the device here, in words; empty where it can.
std::string unavailable_reason(Device device);
inline bool is_available(Device device) { return unavailable_reason(device).empty(); }

// The GPU that kernels run on, as far as it can be asked: what is not known is empty or 0.
struct GpuInfo {
  std::string name;
  int capability = 0;  // 75 is 7.5
  size_t memory_bytes = 0;
  int driver_version = 0, runtime_version = 0;  // of CUDA; 13000 is 13.0
};
GpuInfo gpu_info();
std::string capability_name(int capability);  // 75 -> "7.5"
std::string cuda_version_name(int version);   // 13020 -> "13.2"

// The device has no block of that size left. Whoever knows what the memory was for can say how to
// need less of it.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};
std::string binary_size(size_t bytes);  // "1.5 GiB"

std::byte* allocate(Device device, size_t bytes);  // throws OutOfMemory
void release(Device device, std::byte* block);
// Ordered with the kernels of the backend; `zero` and `copy` do not wait for the device.
void zero(Device device, std::byte* destination, size_t bytes);
void copy(Device device, std::byte* destination, const std::byte* source, size_t bytes);
// These wait until the copy is done.
void copy_from_host(Device device, std::byte* destination, const void* source, size_t bytes);
void copy_to_host(Device device, void* destination, const std::byte* source, size_t bytes);

}  // namespace ddpm::memory
