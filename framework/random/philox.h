// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, by way of Random123). A draw is
// a pure function of (seed, site, step, row, element): both backends, any launch shape, any batch
// split and any replay of a captured graph produce the same bits, and there is no state to save.
//
// log and sin/cos are written with explicit fmaf and with no other product feeding a sum, so no
// compiler can contract them differently: normals agree to the last bit too. Never build this with
// -ffast-math or --use_fast_math.
#pragma once

#include <Random123/philox.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "framework/core/host_device.h"

namespace ddpm {

struct Bits4 {
  uint32_t v[4];
};
struct Float4 {
  float v[4];
};

// What identifies a draw besides the seed; element counts within a row.
struct DrawId {
  uint32_t site;  // who asks: hash of a path such as "unet/down_0/block_1/dropout"
  uint32_t step;
  uint32_t row;  // global image index, so that a batch may be split at will
};

// The four draws of elements 4 * quad .. 4 * quad + 3.
DDPM_HD inline Bits4 philox(uint64_t seed, DrawId id, uint32_t quad) {
  const r123::Philox4x32::ctr_type counter = {{quad, id.row, id.step, id.site}};
  const r123::Philox4x32::key_type key = {
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  const auto bits = r123::Philox4x32{}(counter, key);
  return {{bits.v[0], bits.v[1], bits.v[2], bits.v[3]}};
}

// Uniform on (0, 1): 23 random bits, centred between grid points; exact in f32, never 0 or 1.
DDPM_HD inline float to_uniform(uint32_t bits) {
  return fmaf(static_cast<float>(bits >> 9), 0x1p-23f, 0x1p-24f);
}

// Uniform on (low, high), rounded once wherever it is computed.
DDPM_HD inline double to_interval(uint32_t bits, double low, double high) {
  return fma(high - low, static_cast<double>(to_uniform(bits)), low);
}

// Uniform on {0, ..., bound - 1} by multiply-shift; the bias is below bound / 2^32.
DDPM_HD inline uint32_t to_index(uint32_t bits, uint32_t bound) {
  return static_cast<uint32_t>((static_cast<uint64_t>(bits) * bound) >> 32);
}

// Natural logarithm, relative error below 1e-7: x = m * 2^e with m in [sqrt(1/2), sqrt(2)) and a
// minimax polynomial in m - 1 (Cephes logf).
DDPM_HD inline float portable_log(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t shifted = bits - 0x3f3504f3u;
  const int e = static_cast<int32_t>(shifted) >> 23;
  bits = (shifted & 0x007fffffu) + 0x3f3504f3u;
  float m;
  memcpy(&m, &bits, sizeof m);
  const float f = m - 1.0f;
  float p = 7.0376836292e-2f;
  p = fmaf(p, f, -1.1514610310e-1f);
  p = fmaf(p, f, 1.1676998740e-1f);
  p = fmaf(p, f, -1.2420140846e-1f);
  p = fmaf(p, f, 1.4249322787e-1f);
  p = fmaf(p, f, -1.6668057665e-1f);
  p = fmaf(p, f, 2.0000714765e-1f);
  p = fmaf(p, f, -2.4999993993e-1f);
  p = fmaf(p, f, 3.3333331174e-1f);
  const float f2 = f * f;
  // ln 2 is split in two so that e * high is exact.
  const float low = fmaf(-0.5f, f2, static_cast<float>(e) * -2.12194440e-4f);
  return fmaf(static_cast<float>(e), 0.693359375f, f + fmaf(p * f, f2, low));
}

// sin and cos of 2 pi u for u in (0, 1), absolute error below 2e-7: quarter turns are exact.
DDPM_HD inline void portable_sincos_turn(float u, float* sine, float* cosine) {
  const float quarters = u * 4.0f;
  const int quadrant = static_cast<int>(quarters + 0.5f);
  const float r = quarters - static_cast<float>(quadrant);  // [-0.5, 0.5]
  const float r2 = r * r;
  float p = 1.5148419e-4f;
  p = fmaf(p, r2, -4.67376557e-3f);
  p = fmaf(p, r2, 7.9689679e-2f);
  p = fmaf(p, r2, -6.4596371e-1f);
  p = fmaf(p, r2, 1.57079633f);
  const float s = p * r;
  float q = 8.9046767e-4f;
  q = fmaf(q, r2, -2.0861334e-2f);
  q = fmaf(q, r2, 2.5366919e-1f);
  q = fmaf(q, r2, -1.23370054f);
  const float c = fmaf(q, r2, 1.0f);
  const bool swap = quadrant & 1, negate_sine = quadrant & 2, negate_cosine = (quadrant + 1) & 2;
  *sine = negate_sine ? -(swap ? c : s) : (swap ? c : s);
  *cosine = negate_cosine ? -(swap ? s : c) : (swap ? s : c);
}

// Four standard normals from one block (Box-Muller).
DDPM_HD inline Float4 to_normal(Bits4 bits) {
  Float4 out;
  for (int pair = 0; pair < 2; ++pair) {
    const float radius = sqrtf(-2.0f * portable_log(to_uniform(bits.v[2 * pair])));
    float s, c;
    portable_sincos_turn(to_uniform(bits.v[2 * pair + 1]), &s, &c);
    out.v[2 * pair] = radius * c;
    out.v[2 * pair + 1] = radius * s;
  }
  return out;
}

}  // namespace ddpm
