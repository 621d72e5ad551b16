// Pool: keeps freed blocks of a device and hands them out again by size class, so that a steady
// state allocates nothing. One pool feeds the training step and another everything that outlives
// it: a captured graph then never shares its addresses with anyone else. Not thread-safe: tensors
// are created and destroyed on one thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  static std::shared_ptr<Pool> create(Device device);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  Storage allocate(size_t bytes);

  // From here on a miss is an error: a captured step must not call the device's allocator.
  void freeze() { frozen_ = true; }

  size_t bytes_reserved() const { return bytes_reserved_; }
  size_t bytes_in_use() const { return bytes_in_use_; }
  size_t peak_bytes_in_use() const { return peak_bytes_in_use_; }
  Device device() const { return device_; }

  // With guards on, every block is followed by a fence of kGuardByte that is checked when the
  // block comes back; a kernel that writes past its output is then named. For tests.
  static constexpr unsigned char kGuardByte = 0xCB;
  void use_guards() { guards_ = true; }

 private:
  explicit Pool(Device device) : device_(device) {}
  void give_back(std::byte* block, size_t size, size_t asked) noexcept;

  Device device_;
  bool frozen_ = false;
  bool guards_ = false;
  size_t bytes_reserved_ = 0, bytes_in_use_ = 0, peak_bytes_in_use_ = 0;
  std::map<size_t, std::vector<std::byte*>> free_blocks_;
};

// Tensors of the pool's device are allocated from this pool until the scope ends.
class PoolScope {
 public:
  explicit PoolScope(std::shared_ptr<Pool> pool);
  ~PoolScope();
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  Device device_;
  std::shared_ptr<Pool> previous_;
};

Storage allocate(Device device, size_t bytes);
std::shared_ptr<Pool> current_pool(Device device);

}  // namespace ddpm
