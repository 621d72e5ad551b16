// The device that the host plays. Tests change what it claims to be and put it back with a
// DeviceScope; the next call of the runtime sees it.
#pragma once

#include <cstddef>

namespace cuda_on_host {

inline constexpr const char* kDeviceName = "CUDA on the host";

struct Device {
  int count = 1;
  int driver_version = 13000;   // 13.0; 0: no driver is installed
  int capability = 90;          // 9.0
  bool runs_this_build = true;  // whether the program holds code for it
  size_t memory_bytes = size_t{1} << 40;
};
Device& device();
size_t bytes_allocated();

class DeviceScope {
 public:
  explicit DeviceScope(const Device& other) : before_(device()) { device() = other; }
  ~DeviceScope() { device() = before_; }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  Device before_;
};

}  // namespace cuda_on_host
