// A vector of 8 floats for kernels that are written once for any vector type. Included by sources
// under their own `#pragma GCC target("avx2,fma")`, behind <immintrin.h> and every other header.

namespace ddpm::cpu {
namespace {

struct Avx2 {
  using Vector = __m256;
  // Vectors of accumulators in a row of a register tile: 6 x 2 of 16 registers.
  static constexpr int kLanes = 8, kVectors = 2;

  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static Vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector multiply(float a, Vector b) { return _mm256_mul_ps(_mm256_set1_ps(a), b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector multiply_add(float a, Vector b, Vector c) {
    return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c);
  }
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
