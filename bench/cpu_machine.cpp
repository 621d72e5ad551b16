// The processors: a clock, a probe of their multiply-add units, a large copy.
#include <time.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "bench/machine.h"
#include "framework/core/check.h"
#include "framework/core/memory.h"
#include "framework/cpu/amx.h"
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

#if defined(__x86_64__)
// Two tiles of A by two of B, as a matrix product would use them.
__attribute__((target("amx-tile,amx-bf16"))) double amx_slice(int count) {
  // Static: the compiler does not see that the instructions read it.
  static const std::vector<bf16> values(cpu::kTileRows * cpu::kTileDepth, 0.01f);
  const cpu::TileScope tiles;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, values.data(), 64);
  _tile_loadd(5, values.data(), 64);
  _tile_loadd(6, values.data(), 64);
  _tile_loadd(7, values.data(), 64);
  for (int i = 0; i < count; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return count * 4 * (cpu::kTileRows * cpu::kTileRows * cpu::kTileDepth) * 2.0;
}
#endif

// FLOP/s of all threads, over the time until the last has finished: where another process holds a
// processor, one thread runs the slices of two, and that must show.
double rate_of(double (*slice)(int)) {
  constexpr double kSeconds = 0.004;
  const int threads = cpu::thread_count();
  std::vector<double> flops(static_cast<size_t>(threads));
  const double start = seconds_now();
  cpu::parallel_for(threads, [&](int64_t i) {
    const double begin = seconds_now();
    while (seconds_now() - begin < kSeconds) flops[static_cast<size_t>(i)] += slice(2000);
  });
  return std::accumulate(flops.begin(), flops.end(), 0.0) / (seconds_now() - start);
}

double best_rate_of(double (*slice)(int)) {
  double best = 0;
  for (int i = 0; i < 50; ++i) best = std::max(best, rate_of(slice));
  return best;
}

class Processors : public Machine {
 public:
  void start(bool) override { start_ = seconds_now(); }
  double stop() override { return seconds_now() - start_; }

  double probe() override {
    const double rate = rate_of(fma_slice);
    fma_peak_ = std::max(fma_peak_, rate);
    return rate;
  }

  double matmul_peak(DType dtype) override {
#if defined(__x86_64__)
    if (dtype == DType::kBf16 && cpu::has_amx()) {
      static const double amx_peak = best_rate_of(amx_slice);
      return amx_peak;
    }
#else
    static_cast<void>(dtype);
#endif
    return fma_peak_;
  }

  double copy_peak() override {
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

 private:
  double start_ = 0;
  double fma_peak_ = best_rate_of(fma_slice);  // the best probe seen
};

}  // namespace

double seconds_now() {
  timespec time;
  clock_gettime(cpu::thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

#ifdef DDPM_WITH_CUDA
Machine& gpu();  // cuda_machine.cu
#endif

Machine& Machine::of(Device device) {
  DDPM_CHECK(memory::is_available(device), "device '{}': {}", name_of(device),
             memory::unavailable_reason(device));
#ifdef DDPM_WITH_CUDA
  if (device == Device::kCuda) return gpu();
#endif
  static Processors processors;
  return processors;
}

}  // namespace ddpm::bench
