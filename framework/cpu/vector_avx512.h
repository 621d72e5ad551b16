// A vector of 16 floats for kernels that are written once for any vector type. Included by sources
// under their own `#pragma GCC target("avx512f")`, behind <immintrin.h> and every other header.

namespace ddpm::cpu {
namespace {

struct Avx512 {
  using Vector = __m512;
  // Vectors of accumulators in a row of a register tile: 6 x 4 of 32 registers.
  static constexpr int kLanes = 16, kVectors = 4;

  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector multiply(float a, Vector b) { return _mm512_mul_ps(_mm512_set1_ps(a), b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector multiply_add(float a, Vector b, Vector c) {
    return _mm512_fmadd_ps(_mm512_set1_ps(a), b, c);
  }
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
