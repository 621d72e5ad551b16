#include "framework/cpu/parallel.h"

#include <sched.h>

#ifdef DDPM_WITH_OPENMP
#include <omp.h>
#else
#include <atomic>
#include <thread>
#include <vector>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace ddpm::cpu {
namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int threads = available_processors();
thread_local bool inside = false;

// Denormals slow arithmetic down a hundredfold and appear in Adam's second moments; flush them to
// zero. The mode is per thread and must be the same in all of them, or bits would differ.
void flush_denormals() {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

}  // namespace

int thread_count() { return threads; }
void set_thread_count(int count) { threads = count > 0 ? count : available_processors(); }

namespace detail {

void run_parallel(int64_t pieces, void (*body)(void*, int64_t), void* context) {
  flush_denormals();
  if (pieces <= 1 || threads == 1 || inside) {
    for (int64_t i = 0; i < pieces; ++i) body(context, i);
    return;
  }
#ifdef DDPM_WITH_OPENMP
#pragma omp parallel num_threads(threads)
  {
    inside = true;
    flush_denormals();
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < pieces; ++i) body(context, i);
    inside = false;
  }
#else
  // The thread sanitizer does not understand libgomp: plain threads instead.
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    inside = true;
    flush_denormals();
    for (int64_t i; (i = next.fetch_add(1)) < pieces;) body(context, i);
    inside = false;
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
#endif
}

}  // namespace detail
}  // namespace ddpm::cpu
