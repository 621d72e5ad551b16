// parallel_for for pieces that need working memory. Every thread gets one block of its own from the
// current pool, taken before the parallel region because the pool is not thread-safe; the size of a
// block depends on a piece, never on how many there are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "framework/core/tensor.h"
#include "framework/cpu/parallel.h"

namespace ddpm::cpu {

// body(i, scratch) for i in [0, pieces), in any order; scratch points to `elements` uninitialised
// T, aligned to a cache line.
template <class T, class Body>
void parallel_for_scratch(int64_t pieces, int64_t elements, Body&& body) {
  static_assert(std::is_trivially_copyable_v<T>);
  constexpr int64_t kLine = 64;
  const int64_t bytes = (elements * static_cast<int64_t>(sizeof(T)) + kLine - 1) / kLine * kLine;
  const int64_t members = std::min<int64_t>(pieces, thread_count());
  const Tensor blocks = Tensor::empty({members, bytes}, DType::kU8, Device::kCpu);
  parallel_for(pieces, [&](int64_t i, int member) {
    body(i, reinterpret_cast<T*>(blocks.raw() + member * bytes));
  });
}

}  // namespace ddpm::cpu
