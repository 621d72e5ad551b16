// Threads of the CPU backend. Work is cut into pieces by its size alone, never by the thread count,
// and every piece writes its own output: results are the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

namespace ddpm::cpu {

int thread_count();
// 0 takes the number of processors this process may use (its affinity mask).
void set_thread_count(int threads);

namespace detail {
// body(context, i, member) where member in [0, min(pieces, thread_count())) is the thread's place.
void run_parallel(int64_t pieces, void (*body)(void*, int64_t, int), void* context);
}  // namespace detail

// body(i) or body(i, member) for i in [0, pieces), in any order, on all threads; a member is one of
// min(pieces, thread_count()) threads. A thread begins with its own contiguous share of the pieces,
// the same in every call: the images that it wrote in one op are in its caches when it reads them
// in the next. Not nested: an inner call runs on the thread that makes it. The body must not throw.
template <class Body>
void parallel_for(int64_t pieces, Body&& body) {
  detail::run_parallel(
      pieces,
      [](void* context, int64_t i, int member) {
        auto& run = *static_cast<std::remove_reference_t<Body>*>(context);
        if constexpr (std::is_invocable_v<decltype(run), int64_t, int>)
          run(i, member);
        else
          run(i);
      },
      &body);
}

// body(begin, end) over [0, n) in pieces of `grain` elements.
template <class Body>
void parallel_ranges(int64_t n, int64_t grain, Body&& body) {
  const int64_t pieces = (n + grain - 1) / grain;
  parallel_for(pieces, [&](int64_t i) {
    const int64_t begin = i * grain, end = begin + grain < n ? begin + grain : n;
    body(begin, end);
  });
}

// Elements per piece of an elementwise pass: 64 KiB of floats, a fraction of the L2 cache.
inline constexpr int64_t kElementGrain = 16384;

}  // namespace ddpm::cpu
