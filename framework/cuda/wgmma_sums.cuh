// The sums of a warpgroup between its registers and memory: what is added to lines of a result
// before they are rounded, writing them, and the moments of what was written. Lines go through
// memory 16 bytes per lane: 32 columns of bf16 are one quad of lanes, which swap words to come from
// and to the layout of wgmma().
#pragma once

#include "framework/core/bf16.h"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/moments.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

inline constexpr int kWarpgroup = 128;

// Where the calling thread's sums of 64 rows lie: rows row() and row() + 8 (`h`), and of every 32
// columns (`group`) the pairs that begin at 8 * j + 2 * quad(), in sums[m][pair(group, j, h)].
struct Fragment {
  __device__ static int row() { return first_row() + static_cast<int>(threadIdx.x) % kWarp / 4; }
  // The first of the sixteen of a warp.
  __device__ static int first_row() {
    return static_cast<int>(threadIdx.x) % kWarpgroup / kWarp * 16;
  }
  __device__ static int quad() { return static_cast<int>(threadIdx.x) % 4; }
  __device__ static constexpr int pair(int group, int j, int h) {
    return (group * 4 + j) * 4 + h * 2;
  }
};

// Word i of lane q becomes word q of lane i, among the four lanes of a quad. So 16 bytes of bf16
// per lane, as memory likes them, become the pairs of a fragment, and back.
__device__ inline void transpose_quad(uint32_t (&words)[4]) {
#pragma unroll
  for (int mask = 1; mask < 4; mask *= 2) {
    const bool is_upper = Fragment::quad() & mask;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & mask) continue;
      uint32_t &lower = words[i], &upper = words[i | mask];
      const uint32_t received = __shfl_xor_sync(0xffffffffu, is_upper ? lower : upper, mask);
      (is_upper ? lower : upper) = received;
    }
  }
}

__device__ inline uint32_t pack(float low, float high) {
  return static_cast<uint32_t>(bf16(low).bits) | static_cast<uint32_t>(bf16(high).bits) << 16;
}
__device__ inline float unpack(uint32_t word, int i) {
  bf16 value;
  value.bits = static_cast<uint16_t>(word >> 16 * i);
  return value;
}

// Adds `columns` values at `from`, one per column.
template <int kColumns, int kCount>
__device__ __forceinline__ void add_to_columns(float (&sums)[kCount][kColumns / 2],
                                               const float* from, int columns) {
#pragma unroll
  for (int j = 0; j < kColumns / 8; ++j) {
    const int column = j * 8 + Fragment::quad() * 2;
    if (column >= columns) break;
    const Packed<float, 2> values = load_packed<float, 2>(from + column);
#pragma unroll
    for (int m = 0; m < kCount; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[m][j * 4 + i] += values.v[i % 2];
  }
}

// Adds `columns` elements at `line` to one row of sums.
template <int kColumns>
__device__ __forceinline__ void add_line(float (&sums)[kColumns / 2], int h, const bf16* line,
                                         int columns, bool exists) {
  Packed<uint32_t> words[kColumns / 32];
#pragma unroll
  for (int group = 0; group < kColumns / 32; ++group) {
    words[group] = {};
    if (exists && group * 32 < columns)
      words[group] =
          load_packed(reinterpret_cast<const uint32_t*>(line + group * 32 + Fragment::quad() * 8));
  }
#pragma unroll
  for (int group = 0; group < kColumns / 32; ++group) {
    transpose_quad(words[group].v);
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        sums[Fragment::pair(group, j, h) + i] += unpack(words[group].v[j], i);
  }
}

// Writes one row of sums: rounded to bf16, or as they are.
template <int kColumns>
__device__ __forceinline__ void write_line(const float (&sums)[kColumns / 2], int h, bf16* line,
                                           int columns, bool exists) {
#pragma unroll
  for (int group = 0; group < kColumns / 32; ++group) {
    Packed<uint32_t> words;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int pair = Fragment::pair(group, j, h);
      words.v[j] = pack(sums[pair], sums[pair + 1]);
    }
    transpose_quad(words.v);
    if (exists && group * 32 < columns)
      store_packed(reinterpret_cast<uint32_t*>(line + group * 32 + Fragment::quad() * 8), words);
  }
}
template <int kColumns>
__device__ __forceinline__ void write_line(const float (&sums)[kColumns / 2], int h, float* line,
                                           int columns, bool exists) {
#pragma unroll
  for (int group = 0; group < kColumns / 32; ++group)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int pair = Fragment::pair(group, j, h);
      if (exists && group * 32 < columns)
        store_packed(line + group * 32 + j * 8 + Fragment::quad() * 2,
                     Packed<float, 2>{sums[pair], sums[pair + 1]});
    }
}

// One value of `kept` and `sent` from each of two lanes, which hold the moments of as many numbers
// of the same quads: the merged moments of `kept`.
__device__ __forceinline__ void merge_lanes(Moments<float>& kept, const Moments<float>& sent,
                                            int mask) {
  const float mean = __shfl_xor_sync(0xffffffffu, sent.mean, mask);
  const float m2 = __shfl_xor_sync(0xffffffffu, sent.m2, mask);
  const float delta = mean - kept.mean;
  kept.m2 = (kept.m2 + m2) + delta * delta * (kept.count / 2);
  kept.mean = (kept.mean + mean) / 2;
  kept.count *= 2;
}

// Writes the moments of the 16 rows of a warp as they were written: one chunk, and the quads of up
// to kColumns of the `columns` of a row, from `first` on. Two neighbouring lanes have a quad of a
// row, and the eight lanes of its column two rows each. For 64 columns that is eight times two
// quads per lane: the eight lanes halve them three times, each giving away what the other keeps.
template <int kColumns>
__device__ __forceinline__ void write_moments(const float (&sums)[kColumns / 2], float* moments,
                                              int chunk, int columns, int first, bool exists) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int group = 0; group < kColumns / 64; ++group) {
    Moments<float> m[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int at = (group * 8 + j) * 4;
      m[j] = moments_of_quad(bf16(sums[at]), bf16(sums[at + 1]), bf16(sums[at + 2]),
                             bf16(sums[at + 3]));
    }
    int kept = 0;
#pragma unroll
    for (int step = 0; step < 3; ++step) {
      const int half = 4 >> step, mask = 4 << step;
      const bool is_upper = lane & mask;
      if (is_upper) kept += half;
#pragma unroll
      for (int j = 0; j < half; ++j) {
        Moments<float> sent = m[j + half];
        if (is_upper) {
          const Moments<float> lower = m[j];
          m[j] = sent;
          sent = lower;
        }
        merge_lanes(m[j], sent, mask);
      }
    }
    merge_lanes(m[0], m[0], 1);
    const int column = first + (group * 8 + kept) * 8 + Fragment::quad() / 2 * kQuad;
    if (exists && column < columns && Fragment::quad() % 2 == 0)
      store_moments(moments, chunk, columns / kQuad, column / kQuad, m[0]);
  }
}

}  // namespace ddpm::cuda
