// The formula of every elementwise op, written once for both backends.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "framework/core/host_device.h"

namespace ddpm::math {

// e^x. The f32 version is branch-free so that compilers vectorise loops over it (a call of std::exp
// would cost six times as much); relative error below 2e-7 (Cephes expf), 0 and infinity saturate
// at the ends of the normal range.
DDPM_HD inline double exp(double x) { return ::exp(x); }

// e^x = p * 2^n for x in [-87, 88]
struct ExpParts {
  float p;
  int32_t n;
  DDPM_HD explicit ExpParts(float x) {
    const float rounded = rintf(x * 1.44269504f);
    float r = fmaf(rounded, -0.693359375f, x);  // ln 2 in two parts: rounded * high is exact
    r = fmaf(rounded, 2.12194440e-4f, r);
    p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r + 1.0f);
    n = static_cast<int32_t>(rounded);
  }
  DDPM_HD static float power_of_2(int32_t n) {
    const uint32_t bits = static_cast<uint32_t>(n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
  }
};

DDPM_HD inline float exp(float x) {
  // Not fminf and fmaxf, whose rules for NaN keep compilers from vectorising; NaN passes through.
  x = x < -87.3f ? -87.3f : x;
  x = x > 88.7f ? 88.7f : x;
  const ExpParts e(x);
  // Two exact halves: n = 128 alone would overflow the exponent field.
  const int32_t half = e.n >> 1;
  return e.p * ExpParts::power_of_2(half) * ExpParts::power_of_2(e.n - half);
}

DDPM_HD inline double sigmoid(double x) { return 1 / (1 + exp(-x)); }
// By e^-|x|, which needs one bound and one power of 2; on a GPU by two instructions of the special
// function unit, where e^-x is as exact as its argument x log2(e): to |x| / 2^24.
DDPM_HD inline float sigmoid(float x) {
#ifdef __CUDA_ARCH__
  return __fdividef(1.0f, 1.0f + __expf(-x));
#else
  float m = -fabsf(x);
  m = -87.0f > m ? -87.0f : m;
  const ExpParts parts(m);
  const float e = parts.p * ExpParts::power_of_2(parts.n);
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
#endif
}

struct Add {
  template <class T>
  DDPM_HD T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  DDPM_HD T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  DDPM_HD T operator()(T a, T b) const {
    return a * b;
  }
};
struct Scale {
  double factor;
  template <class T>
  DDPM_HD T operator()(T x) const {
    return T(factor) * x;
  }
};

struct Silu {
  template <class T>
  DDPM_HD T operator()(T x) const {
    return x * sigmoid(x);
  }
};
struct SiluGrad {
  template <class T>
  DDPM_HD T operator()(T x, T dy) const {
    const T s = sigmoid(x);
    return dy * s * (T(1) + x * (T(1) - s));
  }
};

struct Relu {
  template <class T>
  DDPM_HD T operator()(T x) const {
    return x > T(0) ? x : T(0);
  }
};
struct ReluGrad {
  template <class T>
  DDPM_HD T operator()(T x, T dy) const {
    return x > T(0) ? dy : T(0);
  }
};

struct Clamp {
  double low, high;
  template <class T>
  DDPM_HD T operator()(T x) const {
    return x < T(low) ? T(low) : x > T(high) ? T(high) : x;
  }
};
struct ClampGrad {
  double low, high;
  template <class T>
  DDPM_HD T operator()(T x, T dy) const {
    return x < T(low) || x > T(high) ? T(0) : dy;
  }
};

}  // namespace ddpm::math
