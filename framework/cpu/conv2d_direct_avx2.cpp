// The direct convolution for AVX2 with FMA: see conv2d_direct_kernels.h.
#include "framework/cpu/conv2d_direct.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "framework/cpu/conv2d_gather.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace ddpm::cpu {
namespace {

struct Avx2 {
  using Vector = __m256;
  static constexpr int kLanes = 8, kVectors = 2;

  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static Vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  // The first `count` lanes, at most all of them.
  static Vector load(const float* p, int64_t count) { return _mm256_maskload_ps(p, mask(count)); }
  static void store(float* p, int64_t count, Vector v) { _mm256_maskstore_ps(p, mask(count), v); }

 private:
  static __m256i mask(int64_t count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
  }
};

}  // namespace
}  // namespace ddpm::cpu

#include "framework/cpu/conv2d_direct_kernels.h"

namespace ddpm::cpu {

void direct_avx2_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx2>(gather_conv(Conv2dPass::kForward, problem, operands));
}

void direct_avx2_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx2>(gather_conv(Conv2dPass::kBackwardData, problem, operands));
}

void direct_avx2_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_backward_weight<Avx2>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool direct_avx2_supports(const Conv2dProblem& problem) {
  return problem.dtype == DType::kF32 && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("fma");
}

}  // namespace ddpm::cpu
#endif
