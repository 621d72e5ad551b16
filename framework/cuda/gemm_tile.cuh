// One tile of a matrix product, sum (rows, columns) = A (rows, depth) B (depth, columns), computed
// by one block on the CUDA cores: panels of A and B pass through two buffers of shared memory,
// every thread keeps 8x8 sums in registers. Where an element of A or B lies is the business of its
// source: a matrix, or the pixels under the taps of a convolution (conv2d_sources.cuh). A sum runs
// over the depth in order.
#pragma once

#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

template <class T_, int kRows_, int kColumns_>
struct GemmTile {
  using T = T_;
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kDepth = 8;  // of a panel; more costs registers for the loads on their way
  static constexpr int kThreads = kRows * kColumns / 64;
  static constexpr int kLeastPiece = 128;  // of the depth: less takes longer to write than to add
  // At least so many blocks share a multiprocessor; that limits the registers of a thread.
  static constexpr int kBlocks = kThreads == 256 ? 2 : sizeof(T) == 4 ? 6 : 4;
  // Four more elements per line spread transposing stores over the banks and keep lines aligned.
  static constexpr int kRowPitch = kRows + 4, kColumnPitch = kColumns + 4;
  static constexpr int kBuffer = kDepth * (kRowPitch + kColumnPitch);
  static constexpr int kSharedBytes = 2 * kBuffer * static_cast<int>(sizeof(T));
  static_assert(kThreads % kWarp == 0 && kColumns % 64 == 0);

  // A thread's sums are 2x2 squares of 4x4: element i of its 8 rows or columns lies in square i
  // / 4. A warp is 4 threads high and 8 wide, which is what the shared memory serves in one go.
  __device__ static int row(int i) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = threadIdx.x % kWarp;
    return (warp / (kColumns / 64) * 4 + lane / 8) * 4 + i / 4 * (kRows / 2) + i % 4;
  }
  __device__ static int column(int i) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = threadIdx.x % kWarp;
    return (warp % (kColumns / 64) * 8 + lane % 8) * 4 + i / 4 * (kColumns / 2) + i % 4;
  }
};

// How the threads share the loads of a panel of depth x extent elements, kWidth at a time. Vectors
// lie along the depth where consecutive depths are neighbours in memory, else along the extent.
// Vector i of a thread lies kStep lines behind its vector i - 1.
template <class Tile_, int kExtent, int kWidth_, bool kAlongDepth_>
struct PanelLoads {
  using Tile = Tile_;
  using T = typename Tile::T;
  using Vector = Packed<T, kWidth_>;
  static constexpr int kWidth = kWidth_;
  static constexpr bool kAlongDepth = kAlongDepth_;
  static constexpr int kAcross = (kAlongDepth ? Tile::kDepth : kExtent) / kWidth;
  static constexpr int kVectors = Tile::kDepth * kExtent / (kWidth * Tile::kThreads);
  static constexpr int kStep = Tile::kThreads / kAcross;
  static_assert(kVectors >= 1 && Tile::kThreads % kAcross == 0);

  __device__ static int line() { return static_cast<int>(threadIdx.x) / kAcross; }
  __device__ static int offset() { return static_cast<int>(threadIdx.x) % kAcross * kWidth; }

  __device__ static Vector load(const Place<T>& from) {
    if (from.is_inside) return load_packed<T, kWidth>(from.address);
    Vector zero;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) zero.v[j] = T(0);
    return zero;
  }
  // Panels lie in shared memory as (depth, pitch).
  __device__ static void store(T* panel, int pitch, int i, const Vector& vector) {
    T* to = kAlongDepth ? panel + offset() * pitch + line() + i * kStep
                        : panel + (line() + i * kStep) * pitch + offset();
    if constexpr (kAlongDepth) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) to[j * pitch] = vector.v[j];
    } else {
      store_packed(to, vector);
    }
  }
};

// A source hands out the places of the vectors of its panels in order: next(0) ... next(kVectors -
// 1) of the first panel, then those of the second.
template <class Tile, class SourceA, class SourceB>
__device__ void gemm_tile(SourceA a, SourceB b, int panels, typename Tile::T (&sum)[8][8]) {
  using T = typename Tile::T;
  using LoadsA = typename SourceA::Loads;
  using LoadsB = typename SourceB::Loads;
  T* const shared = dynamic_shared<T>();
  typename LoadsA::Vector next_a[LoadsA::kVectors];
  typename LoadsB::Vector next_b[LoadsB::kVectors];

  const auto load = [&] {
#pragma unroll
    for (int i = 0; i < LoadsA::kVectors; ++i) next_a[i] = LoadsA::load(a.next(i));
#pragma unroll
    for (int i = 0; i < LoadsB::kVectors; ++i) next_b[i] = LoadsB::load(b.next(i));
  };
  const auto store = [&](int panel) {
    T* const panel_a = shared + panel % 2 * Tile::kBuffer;
    T* const panel_b = panel_a + Tile::kDepth * Tile::kRowPitch;
#pragma unroll
    for (int i = 0; i < LoadsA::kVectors; ++i)
      LoadsA::store(panel_a, Tile::kRowPitch, i, next_a[i]);
#pragma unroll
    for (int i = 0; i < LoadsB::kVectors; ++i)
      LoadsB::store(panel_b, Tile::kColumnPitch, i, next_b[i]);
  };

#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; ++j) sum[i][j] = T(0);
  if (panels == 0) return;
  load();
  store(0);
  __syncthreads();
  const int row = Tile::row(0), column = Tile::column(0);
  for (int panel = 0; panel < panels; ++panel) {
    if (panel + 1 < panels) load();  // on its way while this panel is multiplied
    const T* line_a = shared + panel % 2 * Tile::kBuffer + row;
    const T* line_b = shared + panel % 2 * Tile::kBuffer + Tile::kDepth * Tile::kRowPitch + column;
#pragma unroll
    for (int k = 0; k < Tile::kDepth; ++k) {
      constexpr int kSize = Packed<T>::kSize;
      Packed<T> part_a[8 / kSize], part_b[8 / kSize];
#pragma unroll
      for (int i = 0; i < 8; i += kSize) {
        part_a[i / kSize] = load_packed(line_a + i / 4 * (Tile::kRows / 2) + i % 4);
        part_b[i / kSize] = load_packed(line_b + i / 4 * (Tile::kColumns / 2) + i % 4);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
          sum[i][j] += part_a[i / kSize].v[i % kSize] * part_b[j / kSize].v[j % kSize];
      line_a += Tile::kRowPitch;
      line_b += Tile::kColumnPitch;
    }
    if (panel + 1 < panels) store(panel + 1);
    __syncthreads();
  }
}

}  // namespace ddpm::cuda
