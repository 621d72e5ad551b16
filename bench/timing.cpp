#include "bench/timing.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "framework/cpu/parallel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ddpm::bench {
namespace {

// Each slice runs `count` rounds of independent chains of multiply-adds and returns their flops.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) double fma_slice_avx512(int count) {
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
__attribute__((target("avx2,fma"))) double fma_slice_avx2(int count) {
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
double fma_slice_scalar(int count) {
  constexpr int kChains = 8;
  float sum[kChains] = {};
  for (float& s : sum) asm volatile("" : "+m"(s));
  for (int i = 0; i < count; ++i)
    for (float& s : sum) s = s * 0.9999f + 1e-7f;
  for (float& s : sum) asm volatile("" : "+m"(s));
  return count * kChains * 2.0;
}

double fma_slice(int count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return fma_slice_avx512(count);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return fma_slice_avx2(count);
#endif
  return fma_slice_scalar(count);
}

// FLOP/s of all threads, over the time until the last has finished: where another process holds a
// processor, one thread runs the slices of two, and that must show.
double probe_fma() {
  constexpr double kSeconds = 0.004;
  const int threads = cpu::thread_count();
  std::vector<double> flops(static_cast<size_t>(threads));
  const double start = seconds_now();
  cpu::parallel_for(threads, [&](int64_t i) {
    const double begin = seconds_now();
    while (seconds_now() - begin < kSeconds) flops[static_cast<size_t>(i)] += fma_slice(2000);
  });
  return std::accumulate(flops.begin(), flops.end(), 0.0) / (seconds_now() - start);
}

double& best_probe() {
  static double best = [] {
    double first = 0;
    for (int i = 0; i < 50; ++i) first = std::max(first, probe_fma());
    return first;
  }();
  return best;
}

double probe() {
  const double rate = probe_fma();
  best_probe() = std::max(best_probe(), rate);
  return rate;
}

struct Sample {
  double seconds, probe_before, probe_after;
  bool healthy() const { return std::min(probe_before, probe_after) >= 0.92 * best_probe(); }
};

}  // namespace

double seconds_now() {
  timespec time;
  clock_gettime(cpu::thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double fma_peak() { return best_probe(); }

double copy_peak() {
  static const double peak = [] {
    constexpr int64_t kBytes = int64_t{256} << 20, kPiece = int64_t{1} << 20;
    std::vector<char> from(kBytes, 1), to(kBytes, 2);
    double best = 0;
    for (int i = 0; i < 10; ++i) {
      const double start = seconds_now();
      cpu::parallel_ranges(kBytes, kPiece, [&](int64_t begin, int64_t end) {
        std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
      });
      best = std::max(best, 2.0 * kBytes / (seconds_now() - start));
    }
    return best;
  }();
  return peak;
}

Timing time_samples(const std::function<double()>& sample, const TimingOptions& options) {
  const double begin = seconds_now();
  std::vector<Sample> samples;
  // Counted anew every time: a better probe may have shown that earlier samples were not healthy.
  const auto healthy = [&] {
    return static_cast<int>(
        std::count_if(samples.begin(), samples.end(), std::mem_fn(&Sample::healthy)));
  };
  do {
    const double before = probe(), seconds = sample();
    samples.push_back({seconds, before, probe()});
  } while (healthy() < options.samples && seconds_now() - begin < options.budget_seconds);

  Timing timing{.healthy = healthy(), .samples = static_cast<int>(samples.size())};
  if (timing.healthy > 0) std::erase_if(samples, std::not_fn(std::mem_fn(&Sample::healthy)));
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.seconds < b.seconds; });
  timing.seconds = samples[samples.size() / 2].seconds;
  timing.best = samples.front().seconds;
  timing.probe_min = timing.probe_max = samples.front().probe_before;
  for (const Sample& s : samples) {
    timing.probe_min = std::min({timing.probe_min, s.probe_before, s.probe_after});
    timing.probe_max = std::max({timing.probe_max, s.probe_before, s.probe_after});
  }
  return timing;
}

Timing time_calls(const std::function<void()>& run, const TimingOptions& options) {
  constexpr double kSampleSeconds = 0.02;
  run();
  const double start = seconds_now();
  run();
  const int calls = std::max(1, static_cast<int>(kSampleSeconds / (seconds_now() - start)));
  return time_samples(
      [&] {
        const double begin = seconds_now();
        for (int i = 0; i < calls; ++i) run();
        return (seconds_now() - begin) / calls;
      },
      options);
}

}  // namespace ddpm::bench
