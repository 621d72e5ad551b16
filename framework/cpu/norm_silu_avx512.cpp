#include "framework/cpu/norm_silu_avx512.h"

#if defined(__x86_64__)
#include "framework/core/intrinsics.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace ddpm::cpu {
namespace {

// 1 / (1 + e^-u), in 15 instructions: e^-u = 2^v = p(f) 2^n for v = n + f with |f| <= 1/2, where p
// is the best polynomial of degree 4 (relative error 2.6e-6), and a reciprocal good to 2^-14. NaN
// passes through: of two operands, minimum and maximum take the second then.
__m512 sigmoid(__m512 u) {
  __m512 v = _mm512_mul_ps(u, _mm512_set1_ps(-1.44269504f));
  v = _mm512_max_ps(_mm512_set1_ps(-126.0f), _mm512_min_ps(_mm512_set1_ps(125.0f), v));
  const __m512 n = _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(v, n);
  __m512 p = _mm512_set1_ps(9.57010148e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.59178607e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.40247448e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.93121814e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.99999261e-1f));
  return _mm512_rcp14_ps(_mm512_add_ps(_mm512_scalef_ps(p, n), _mm512_set1_ps(1.0f)));
}

}  // namespace

bool has_avx512_bf16() {
  static const bool has = __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bf16");
  return has;
}

void norm_silu_row(const bf16* x, const float* mean, const float* scale, const float* shift,
                   int64_t width, bf16* y) {
  for (int64_t c = 0; c < width; c += 16) {
    const auto lanes = static_cast<__mmask16>(width - c >= 16 ? 0xffff : (1 << (width - c)) - 1);
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x + c));
    const __m512 value = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    const __m512 u = _mm512_fmadd_ps(_mm512_sub_ps(value, _mm512_maskz_loadu_ps(lanes, mean + c)),
                                     _mm512_maskz_loadu_ps(lanes, scale + c),
                                     _mm512_maskz_loadu_ps(lanes, shift + c));
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_mul_ps(u, sigmoid(u)));
    _mm256_mask_storeu_epi16(y + c, lanes, reinterpret_cast<__m256i>(rounded));
  }
}

}  // namespace ddpm::cpu

#pragma GCC pop_options
#endif
