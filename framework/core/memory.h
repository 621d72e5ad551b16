// Raw memory of a device: the few calls a backend must offer before it has any op.
#pragma once

#include <cstddef>

#include "framework/core/dtype.h"

namespace ddpm::memory {

inline constexpr size_t kAlignment = 256;  // bytes; covers a cache line and a TMA descriptor

bool is_built_for(Device device);
// Whether this program was built for the device and the machine has one.
bool is_available(Device device);

std::byte* allocate(Device device, size_t bytes);
void release(Device device, std::byte* block);
// Ordered with the kernels of the backend; `zero` and `copy` do not wait for the device.
void zero(Device device, std::byte* destination, size_t bytes);
void copy(Device device, std::byte* destination, const std::byte* source, size_t bytes);
// These wait until the copy is done.
void copy_from_host(Device device, std::byte* destination, const void* source, size_t bytes);
void copy_to_host(Device device, void* destination, const std::byte* source, size_t bytes);

}  // namespace ddpm::memory
