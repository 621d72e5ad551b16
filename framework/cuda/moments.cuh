// Count, mean and sum of squared deviations of sets of numbers, and their merging (Chan, Golub &
// LeVeque 1979): never a difference of two large sums of squares.
#pragma once

#include "framework/cuda/moments.h"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

template <class A>
struct Moments {
  A count, mean, m2;
};

// Those of the union of set(0) .. set(sets - 1): the deviations within the sets and between them.
template <class A, class Set>
__device__ Moments<A> merge(int sets, Set set) {
  const A shift = set(0).mean;
  A count = 0, offset = 0, m2 = 0;
  for (int i = 0; i < sets; ++i) {
    const Moments<A> s = set(i);
    count += s.count;
    offset += s.count * (s.mean - shift);
  }
  const A mean = shift + offset / count;
  for (int i = 0; i < sets; ++i) {
    const Moments<A> s = set(i);
    m2 += s.m2 + s.count * (s.mean - mean) * (s.mean - mean);
  }
  return {count, mean, m2};
}

// Of the four values of a quad at one position.
__device__ inline Moments<float> moments_of_quad(float a, float b, float c, float d) {
  const float mean = ((a + b) + (c + d)) / kQuad;
  a -= mean, b -= mean, c -= mean, d -= mean;
  return {kQuad, mean, (a * a + b * b) + (c * c + d * d)};
}

// Element (chunk, quad) of moments (chunks of all samples, quads, 2).
__device__ inline void store_moments(float* moments, int64_t chunk, int quads, int quad,
                                     const Moments<float>& of) {
  store_packed(moments + (chunk * quads + quad) * 2, Packed<float, 2>{{of.mean, of.m2}});
}
__device__ inline Moments<float> load_moments(const float* moments, int64_t chunk, int quads,
                                              int quad) {
  const auto pair = load_packed<float, 2>(moments + (chunk * quads + quad) * 2);
  return {kChunk * kQuad, pair.v[0], pair.v[1]};
}

}  // namespace ddpm::cuda
