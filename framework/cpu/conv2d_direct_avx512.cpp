// The direct convolution for AVX-512: see conv2d_direct_kernels.h.
#include "framework/cpu/conv2d_direct.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "framework/cpu/conv2d_gather.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx512f")

namespace ddpm::cpu {
namespace {

struct Avx512 {
  using Vector = __m512;
  static constexpr int kLanes = 16, kVectors = 4;

  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  // The first `count` lanes, at most all of them.
  static Vector load(const float* p, int64_t count) {
    return _mm512_maskz_loadu_ps(mask(count), p);
  }
  static void store(float* p, int64_t count, Vector v) { _mm512_mask_storeu_ps(p, mask(count), v); }

 private:
  static __mmask16 mask(int64_t count) {
    return static_cast<__mmask16>(count >= kLanes ? 0xFFFF : (1 << count) - 1);
  }
};

}  // namespace
}  // namespace ddpm::cpu

#include "framework/cpu/conv2d_direct_kernels.h"

namespace ddpm::cpu {

void direct_avx512_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx512>(gather_conv(Conv2dPass::kForward, problem, operands));
}

void direct_avx512_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx512>(gather_conv(Conv2dPass::kBackwardData, problem, operands));
}

void direct_avx512_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_backward_weight<Avx512>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool direct_avx512_supports(const Conv2dProblem& problem) {
  return problem.dtype == DType::kF32 && __builtin_cpu_supports("avx512f");
}

}  // namespace ddpm::cpu
#endif
