// What the processor gives right now: f32 multiply-adds per second out of registers, on all
// threads. A shared machine slows down for seconds at a time, so a sample counts only if the probes
// before and after it are near the best one seen, and every rate is printed beside that peak.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "framework/cpu/parallel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ddpm::bench {

// Wall time; with one thread the time that it had a processor, which other processes do not
// stretch.
inline double seconds_now() {
  timespec time;
  clock_gettime(cpu::thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Each slice runs `count` rounds of independent chains of multiply-adds and returns their flops.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline double fma_slice_avx512(int count) {
  constexpr int kChains = 16;
  const __m512 a = _mm512_set1_ps(0.9999f), b = _mm512_set1_ps(1e-7f);
  __m512 sum[kChains];
#pragma GCC unroll 16
  for (int k = 0; k < kChains; ++k) {
    sum[k] = b;
    asm volatile("" : "+v"(sum[k]));  // or the compiler would see that all chains are one
  }
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 16
    for (int k = 0; k < kChains; ++k) sum[k] = _mm512_fmadd_ps(sum[k], a, b);
#pragma GCC unroll 16
  for (int k = 0; k < kChains; ++k) asm volatile("" ::"v"(sum[k]));  // or all would be dead code
  return count * kChains * 16.0 * 2;
}
__attribute__((target("avx2,fma"))) inline double fma_slice_avx2(int count) {
  constexpr int kChains = 12;
  const __m256 a = _mm256_set1_ps(0.9999f), b = _mm256_set1_ps(1e-7f);
  __m256 sum[kChains];
#pragma GCC unroll 12
  for (int k = 0; k < kChains; ++k) {
    sum[k] = b;
    asm volatile("" : "+x"(sum[k]));  // or the compiler would see that all chains are one
  }
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) sum[k] = _mm256_fmadd_ps(sum[k], a, b);
#pragma GCC unroll 12
  for (int k = 0; k < kChains; ++k) asm volatile("" ::"x"(sum[k]));
  return count * kChains * 8.0 * 2;
}
#endif
inline double fma_slice_scalar(int count) {
  constexpr int kChains = 8;
  float sum[kChains] = {};
  for (float& s : sum) asm volatile("" : "+m"(s));
  for (int i = 0; i < count; ++i)
    for (float& s : sum) s = s * 0.9999f + 1e-7f;
  for (float& s : sum) asm volatile("" : "+m"(s));
  return count * kChains * 2.0;
}

inline double fma_slice(int count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return fma_slice_avx512(count);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return fma_slice_avx2(count);
#endif
  return fma_slice_scalar(count);
}

// FLOP/s of all threads over `seconds`.
inline double probe_fma(double seconds = 0.004) {
  const int threads = cpu::thread_count();
  std::vector<double> rates(static_cast<size_t>(threads));
  cpu::parallel_for(threads, [&](int64_t i) {
    const double start = seconds_now();
    double flops = 0, elapsed = 0;
    while (elapsed < seconds) {
      flops += fma_slice(2000);
      elapsed = seconds_now() - start;
    }
    rates[static_cast<size_t>(i)] = flops / elapsed;
  });
  double total = 0;
  for (double rate : rates) total += rate;
  return total;
}

struct Timing {
  double seconds = 0;  // per call: the median of the healthy samples, else of all
  int healthy = 0, samples = 0;
};

// The best probe seen in this process, FLOP/s.
inline double& fma_peak() {
  static double peak = [] {
    double best = 0;
    for (int i = 0; i < 50; ++i) best = std::max(best, probe_fma());
    return best;
  }();
  return peak;
}

inline Timing time_gated(const std::function<void()>& run, double budget_seconds = 3,
                         int wanted = 7) {
  constexpr double kHealthy = 0.9, kSampleSeconds = 0.02;
  run();
  double start = seconds_now();
  run();
  const int repeats = std::max(1, static_cast<int>(kSampleSeconds / (seconds_now() - start)));
  Timing timing;
  std::vector<double> good, all;
  const double begin = seconds_now();
  while (timing.healthy < wanted && seconds_now() - begin < budget_seconds) {
    const double before = probe_fma();
    start = seconds_now();
    for (int i = 0; i < repeats; ++i) run();
    const double sample = (seconds_now() - start) / repeats;
    const double after = probe_fma();
    fma_peak() = std::max({fma_peak(), before, after});
    ++timing.samples;
    all.push_back(sample);
    if (std::min(before, after) < kHealthy * fma_peak()) continue;
    ++timing.healthy;
    good.push_back(sample);
  }
  std::vector<double>& counted = good.empty() ? all : good;
  std::nth_element(counted.begin(), counted.begin() + static_cast<int64_t>(counted.size() / 2),
                   counted.end());
  timing.seconds = counted[counted.size() / 2];
  return timing;
}

}  // namespace ddpm::bench
