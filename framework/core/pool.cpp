#include "framework/core/pool.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "framework/core/memory.h"

namespace ddpm {
namespace {

constexpr size_t kGuardBytes = 256;

// Eight classes per power of two: at most an eighth of a block is wasted, and the same tensor
// finds the same class in every step.
size_t size_class(size_t bytes) {
  size_t step = memory::kAlignment;
  while (step * 8 < bytes) step *= 2;
  return std::max<size_t>(1, (bytes + step - 1) / step) * step;
}

std::array<std::shared_ptr<Pool>, 2>& current_pools() {
  static thread_local std::array<std::shared_ptr<Pool>, 2> pools;
  return pools;
}

}  // namespace

std::shared_ptr<Pool> Pool::create(Device device) {
  return std::shared_ptr<Pool>(new Pool(device));
}

Pool::~Pool() {
  for (auto& [size, blocks] : free_blocks_)
    for (std::byte* block : blocks) memory::release(device_, block);
}

Storage Pool::allocate(size_t bytes) {
  const size_t guard = guards_ ? kGuardBytes : 0;
  const size_t size = size_class(bytes + guard);
  std::vector<std::byte*>& blocks = free_blocks_[size];
  std::byte* block = nullptr;
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
  } else {
    DDPM_ASSERT(!frozen_, "a frozen pool has no block of {} bytes", size);
    block = memory::allocate(device_, size);
    bytes_reserved_ += size;
  }
  bytes_in_use_ += size;
  peak_bytes_in_use_ = std::max(peak_bytes_in_use_, bytes_in_use_);
  if (guards_) std::memset(block, kGuardByte, size);
  return Storage(block, [self = shared_from_this(), size, bytes](std::byte* p) {
    self->give_back(p, size, bytes);
  });
}

void Pool::give_back(std::byte* block, size_t size, size_t asked) noexcept {
  if (guards_) {
    const auto is_intact = [](std::byte b) { return b == std::byte{kGuardByte}; };
    if (!std::all_of(block + asked, block + size, is_intact)) {
      // A destructor cannot throw, and memory is already damaged: stop here, loudly.
      std::fprintf(stderr, "a kernel wrote past the end of its %zu-byte tensor\n", asked);
      std::abort();
    }
  }
  bytes_in_use_ -= size;
  free_blocks_[size].push_back(block);
}

PoolScope::PoolScope(std::shared_ptr<Pool> pool) : device_(pool->device()) {
  previous_ = std::exchange(current_pools()[static_cast<size_t>(device_)], std::move(pool));
}

PoolScope::~PoolScope() { current_pools()[static_cast<size_t>(device_)] = std::move(previous_); }

std::shared_ptr<Pool> current_pool(Device device) {
  std::shared_ptr<Pool>& pool = current_pools()[static_cast<size_t>(device)];
  if (!pool) pool = Pool::create(device);
  return pool;
}

Storage allocate(Device device, size_t bytes) { return current_pool(device)->allocate(bytes); }

}  // namespace ddpm
