// The instructions of Ampere's tensor cores that the bf16 kernels use (PTX ISA, "Warp-level matrix
// instructions" and "Asynchronous copy"): every warp instruction is called by all 32 lanes. They
// need compute capability 8.0. On the host (tests/cuda_on_host) the same functions follow the
// tables of the PTX ISA in plain C++.
//
// Fragments: lane = 4 g + t holds, two elements to a register, of
//   A (16 rows, 16 depths)    a[0] (g, 2t + {0, 1})  a[1] (g + 8, .)  a[2], a[3] the same, depth +
//   8 B (16 depths, 8 columns)  b[0] (2t + {0, 1}, g)  b[1] depth + 8 C (16 rows, 8 columns)
//   c[0..1] (g, 2t + {0, 1})  c[2..3] (g + 8, .)
#pragma once

#include <cstdint>

#include "framework/core/bf16.h"
#include "framework/cuda/launch.cuh"

namespace ddpm::cuda {

inline constexpr int kLeastMmaCapability = 80;

#ifndef DDPM_CUDA_ON_HOST

__device__ inline unsigned shared_address(const void* address) {
  return static_cast<unsigned>(__cvta_generic_to_shared(address));
}

// Starts a copy of 16 bytes to shared memory, of zeros where the source is not to be read.
__device__ inline void cp_async(void* to, const void* from, bool reads) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(reads ? 16 : 0)
               : "memory");
}
// Closes the group of the copies that this thread started.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the last kPending groups of this thread are on their way.
template <int kPending>
__device__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8x8 matrices. Lane l points to row l % 8 of matrix l / 8 and receives in r[i] elements
// (g, 2t + {0, 1}) of matrix i; transposed, elements (2t + {0, 1}, g).
template <bool kTransposed>
__device__ void ldmatrix(uint32_t (&r)[4], const bf16* row) {
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// c += a b
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#else

inline void cp_async(void* to, const void* from, bool reads) {
  if (reads)
    memcpy(to, from, 16);
  else
    memset(to, 0, 16);
}
inline void cp_async_commit() {}
template <int kPending>
void cp_async_wait() {}

// read(what lane l passed, for every l), called by every lane of a warp.
template <class T, class Read>
void with_warp(const T& value, Read read) {
  static T warps[1024 / kWarp][kWarp];
  T(&lanes)[kWarp] = warps[threadIdx.x / kWarp];
  lanes[threadIdx.x % kWarp] = value;
  __syncwarp();
  read(lanes);
  __syncwarp();
}

template <bool kTransposed>
void ldmatrix(uint32_t (&r)[4], const bf16* row) {
  with_warp(row, [&](const auto& rows) {
    const unsigned g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; ++i) {
      const auto element = [&](unsigned y, unsigned x) -> uint32_t {
        return rows[8 * i + y][x].bits;
      };
      r[i] = kTransposed ? element(2 * t, g) | element(2 * t + 1, g) << 16
                         : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
    }
  });
}

inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Fragments {
    uint32_t a[4], b[2];
  };
  with_warp(Fragments{{a[0], a[1], a[2], a[3]}, {b0, b1}}, [&](const auto& lanes) {
    const auto half = [](uint32_t pair, unsigned i) {
      const uint32_t word = i == 0 ? pair << 16 : pair & 0xffff0000u;
      float value;
      memcpy(&value, &word, sizeof value);
      return value;
    };
    const unsigned g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned holder = k % 8 / 2;
      for (unsigned i = 0; i < 4; ++i)
        c[i] += half(lanes[4 * g + holder].a[k / 8 * 2 + i / 2], k % 2) *
                half(lanes[4 * (2 * t + i % 2) + holder].b[k / 8], k % 2);
    }
  });
}

#endif

}  // namespace ddpm::cuda
