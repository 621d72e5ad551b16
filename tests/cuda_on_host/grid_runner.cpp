#include "tests/cuda_on_host/grid_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "tests/cuda_on_host/fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_host {
namespace {

constexpr int kWarp = 32;
constexpr size_t kSharedAlignment = 1024;
constexpr std::byte kPoison{0xFF};  // a float made of these is not a number

// Lanes of a warp that wait for each other, and the values they exchange. There are two sets of
// values: a fast lane may be one exchange ahead of a slow one, and never two.
struct Warp {
  unsigned live = 0, arrived = 0, mask = 0;
  std::array<std::array<uint64_t, kWarp>, 2> values;
  std::array<unsigned, 2> written;
  int set = 0;
};

// The block that is running.
struct Block {
  const std::function<void()>* body = nullptr;
  int count = 0, next = 0, done = 0, at_barrier = 0;
  std::vector<Fiber*> fiber_of;  // of each thread
  std::vector<Warp> warps;
  std::vector<int> ready;  // threads that may go on, served from `served`
  size_t served = 0;
  std::deque<int> yielded;  // threads that let all others go first
  size_t idle = 0;          // of them, one after another
  std::string error;
  std::vector<std::byte> shared;
  size_t shared_bytes = 0;
};

Block block;
uint64_t block_count = 0;
int current = 0;  // thread
Fiber* current_fiber = nullptr;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle_fibers;

void show_thread(int thread) {
  current = thread;
  const unsigned t = static_cast<unsigned>(thread);
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

void wait() {
  const int thread = current;
  block.fiber_of[static_cast<size_t>(thread)] = current_fiber;
  Fiber::suspend();
}

void release_block_if_complete() {
  if (block.at_barrier == 0 || block.at_barrier < block.count - block.done) return;
  block.at_barrier = 0;
  for (int t = 0; t < block.count; ++t)
    if (block.fiber_of[static_cast<size_t>(t)]) block.ready.push_back(t);
}

void release_warp_if_complete(int index) {
  Warp& warp = block.warps[static_cast<size_t>(index)];
  if (warp.arrived == 0 || warp.arrived != (warp.mask & warp.live)) return;
  for (int lane = 0; lane < kWarp; ++lane)
    if (warp.arrived >> lane & 1) block.ready.push_back(index * kWarp + lane);
  warp.arrived = 0;
  warp.set ^= 1;
  warp.written[static_cast<size_t>(warp.set)] = 0;
}

void finish_thread() {
  ++block.done;
  block.warps[static_cast<size_t>(current / kWarp)].live &= ~(1u << (current % kWarp));
  release_warp_if_complete(current / kWarp);
  release_block_if_complete();
}

// Runs threads that have not started, one after another; when one waits, another fiber takes over.
void fiber_body() {
  for (;;) {
    while (block.next < block.count && block.error.empty()) {
      show_thread(block.next++);
      try {
        (*block.body)();
      } catch (const std::exception& error) {
        block.error = fmt::format("thread ({}, {}, {}): {}", threadIdx.x, threadIdx.y, threadIdx.z,
                                  error.what());
      }
      finish_thread();
    }
    idle_fibers.push_back(current_fiber);
    Fiber::suspend();
  }
}

Fiber* idle_fiber() {
  if (idle_fibers.empty()) {
    fibers.push_back(std::make_unique<Fiber>(fiber_body));
    return fibers.back().get();
  }
  Fiber* fiber = idle_fibers.back();
  idle_fibers.pop_back();
  return fiber;
}

void continue_thread(int thread) {
  current_fiber = std::exchange(block.fiber_of[static_cast<size_t>(thread)], nullptr);
  show_thread(thread);
}

void run_block(const std::function<void()>& body, size_t shared_bytes) {
  block.body = &body;
  block.count = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  block.next = block.done = block.at_barrier = 0;
  block.fiber_of.assign(static_cast<size_t>(block.count), nullptr);
  block.warps.assign(static_cast<size_t>((block.count + kWarp - 1) / kWarp), Warp{});
  for (int t = 0; t < block.count; ++t)
    block.warps[static_cast<size_t>(t / kWarp)].live |= 1u << (t % kWarp);
  block.ready.clear();
  block.served = 0;
  block.yielded.clear();
  block.idle = 0;
  block.error.clear();
  block.shared_bytes = shared_bytes;
  ++block_count;
  block.shared.assign(shared_bytes + 2 * kSharedAlignment, kPoison);

  while (block.done < block.count && block.error.empty()) {
    if (block.served < block.ready.size()) {
      const int thread = block.ready[block.served++];
      if (block.served == block.ready.size()) {
        block.ready.clear();
        block.served = 0;
      }
      block.idle = 0;
      continue_thread(thread);
    } else if (block.next < block.count) {
      block.idle = 0;
      current_fiber = idle_fiber();
    } else if (!block.yielded.empty()) {
      const int thread = block.yielded.front();
      block.yielded.pop_front();
      continue_thread(thread);
    } else {
      const auto waits = std::find_if(block.fiber_of.begin(), block.fiber_of.end(),
                                      [](const Fiber* fiber) { return fiber != nullptr; });
      show_thread(static_cast<int>(waits - block.fiber_of.begin()));
      block.error = fmt::format("thread ({}, {}, {}): waits at a barrier that others never reach",
                                threadIdx.x, threadIdx.y, threadIdx.z);
      break;
    }
    current_fiber->resume();
  }
  const auto* fence = static_cast<const std::byte*>(dynamic_shared()) + shared_bytes;
  if (std::any_of(fence, fence + kSharedAlignment, [](std::byte b) { return b != kPoison; }))
    block.error = fmt::format("wrote past its {} bytes of dynamic shared memory", shared_bytes);
  if (!block.error.empty()) {
    // Threads that still wait will never go on: drop their stacks.
    idle_fibers.clear();
    fibers.clear();
    throw KernelError(
        fmt::format("block ({}, {}, {}), {}", blockIdx.x, blockIdx.y, blockIdx.z, block.error));
  }
}

}  // namespace

void* dynamic_shared() {
  const uintptr_t address = reinterpret_cast<uintptr_t>(block.shared.data());
  return block.shared.data() + (kSharedAlignment - address % kSharedAlignment) % kSharedAlignment;
}

int lane() { return current % kWarp; }
int current_thread() { return current; }
uint64_t blocks_started() { return block_count; }
size_t dynamic_shared_bytes() { return block.shared_bytes; }

void yield(bool is_idle) {
  block.idle = is_idle ? block.idle + 1 : 0;
  if (block.idle > block.yielded.size() + 1)
    throw KernelError("waits for something that never happens");
  block.yielded.push_back(current);
  wait();
}

void block_barrier() {
  ++block.at_barrier;
  block.fiber_of[static_cast<size_t>(current)] = current_fiber;
  release_block_if_complete();
  wait();
}

void warp_barrier(unsigned mask) {
  Warp& warp = block.warps[static_cast<size_t>(current / kWarp)];
  const unsigned self = 1u << lane();
  if (!(mask & self)) throw KernelError("calls a warp function with a mask that leaves it out");
  if (warp.arrived != 0 && warp.mask != mask)
    throw KernelError("calls a warp function with another mask than the lanes that wait");
  warp.mask = mask;
  warp.arrived |= self;
  release_warp_if_complete(current / kWarp);
  wait();
}

void warp_exchange(unsigned mask, const void* value, size_t bytes, int source_lane, void* result) {
  Warp& warp = block.warps[static_cast<size_t>(current / kWarp)];
  const size_t set = static_cast<size_t>(warp.set), source = static_cast<size_t>(source_lane & 31);
  std::memcpy(&warp.values[set][static_cast<size_t>(lane())], value, bytes);
  warp.written[set] |= 1u << lane();
  warp_barrier(mask);
  if (!(warp.written[set] >> source & 1))
    throw KernelError(fmt::format("reads lane {}, which takes no part", source));
  std::memcpy(result, &warp.values[set][source], bytes);
}

unsigned warp_ballot(unsigned mask, bool predicate) {
  Warp& warp = block.warps[static_cast<size_t>(current / kWarp)];
  const size_t set = static_cast<size_t>(warp.set);
  warp.values[set][static_cast<size_t>(lane())] = predicate;
  warp.written[set] |= 1u << lane();
  warp_barrier(mask);
  unsigned votes = 0;
  for (size_t l = 0; l < kWarp; ++l)
    if (warp.written[set] >> l & 1 && warp.values[set][l]) votes |= 1u << l;
  return votes;
}

void run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& thread_body) {
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  for (unsigned z = 0; z < gridDim.z; ++z)
    for (unsigned y = 0; y < gridDim.y; ++y)
      for (unsigned x = 0; x < gridDim.x; ++x) {
        blockIdx = {x, y, z};
        run_block(thread_body, config.dynamicSmemBytes);
      }
}

}  // namespace cuda_on_host
