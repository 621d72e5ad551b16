// One tile of a matrix product, sum (rows, columns) = A (rows, depth) B (depth, columns), computed
// by one block on the tensor cores: bf16 operands, f32 sums. It is gemm_tile.cuh with the same
// sources for the same places in memory; panels are copied asynchronously, several ahead of the one
// that is multiplied, and keep in shared memory the order they have in global memory.
#pragma once

#include "framework/cuda/mma.cuh"
#include "framework/cuda/moments.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

// A warp has kWarpRows x kWarpColumns of the sums.
template <int kRows_, int kColumns_, int kWarpRows_, int kWarpColumns_, int kBlocks_>
struct MmaTile {
  using T = bf16;
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kWarpRows = kWarpRows_, kWarpColumns = kWarpColumns_;
  static constexpr int kDepth = 32, kStages = 4;
  static constexpr int kLeastPiece = 512;  // of the depth: less takes longer to write than to add
  static constexpr int kThreads = kRows / kWarpRows * (kColumns / kWarpColumns) * kWarp;
  static constexpr int kBlocks = kBlocks_;  // at least so many share a multiprocessor
  static constexpr int kPanelA = kRows * kDepth, kStage = (kRows + kColumns) * kDepth;
  static constexpr int kSharedBytes = kStages * kStage * static_cast<int>(sizeof(bf16));
  static_assert(kRows * kColumns * static_cast<int>(sizeof(float)) <= kSharedBytes);
  static_assert(kWarpRows % 16 == 0 && kWarpColumns % 16 == 0);

  // Sums of a thread: 16x8 fragments, as mma.cuh spreads them over a warp.
  using Sums = float[kWarpRows / 16][kWarpColumns / 8][4];

  __device__ static int warp_row() {
    return static_cast<int>(threadIdx.x) / kWarp / (kColumns / kWarpColumns) * kWarpRows;
  }
  __device__ static int warp_column() {
    return static_cast<int>(threadIdx.x) / kWarp % (kColumns / kWarpColumns) * kWarpColumns;
  }
};

// How the threads share the loads of a panel of depth x extent elements (see PanelLoads), and how
// the panel lies in shared memory: its lines are those of global memory, and the eight chunks of
// sixteen bytes that ldmatrix or cp.async move at a time lie in different banks, because a line's
// chunks are permuted by an exclusive or with its number.
template <class Tile_, int kExtent, int kWidth_, bool kAlongDepth_>
struct MmaPanel {
  using Tile = Tile_;
  using T = bf16;
  static constexpr int kWidth = kWidth_;
  static constexpr bool kAlongDepth = kAlongDepth_;
  static constexpr int kPitch = kAlongDepth ? Tile::kDepth : kExtent;  // of a line
  static constexpr int kAcross = kPitch / kWidth;
  static constexpr int kVectors = Tile::kDepth * kExtent / (kWidth * Tile::kThreads);
  static constexpr int kStep = Tile::kThreads / kAcross;
  static_assert(kVectors >= 1 && Tile::kThreads % kAcross == 0 && (kWidth == 8 || kWidth == 1));

  __device__ static int line() { return static_cast<int>(threadIdx.x) / kAcross; }
  __device__ static int offset() { return static_cast<int>(threadIdx.x) % kAcross * kWidth; }

  __device__ static int index(int at_line, int at_offset) {
    constexpr int kChunks = kPitch / 8;
    const int shift = kChunks >= 8 ? at_line % 8 : at_line / (8 / kChunks) % kChunks;
    return at_line * kPitch + ((at_offset / 8) ^ shift) * 8 + at_offset % 8;
  }

  __device__ static void copy(bf16* panel, int i, const Place<bf16>& from) {
    bf16* const to = panel + index(line() + i * kStep, offset());
    if constexpr (kWidth == 8)
      cp_async(to, from.address, from.is_inside);
    else
      *to = from.is_inside ? *from.address : bf16(0.0f);
  }

  // Where this lane points ldmatrix for the 16x16 fragment at (extent, depth) = (first_extent, 0):
  // the 8x8 matrices are (0, 0), (8, 0), (0, 8), (8, 8).
  __device__ static int fragment(int first_extent) {
    const int lane = threadIdx.x % kWarp;
    return kAlongDepth ? index(first_extent + lane % 16, lane / 16 * 8)
                       : index(lane / 16 * 8 + lane % 8, first_extent + lane / 8 % 2 * 8);
  }
  // And `i` fragments further along the extent, `k` along the depth. Chunks are permuted, but eight
  // or sixteen lines further they are permuted alike.
  __device__ static void load(uint32_t (&r)[4], const bf16* panel, int first, int i, int k) {
    const int along_line = 16 * (kAlongDepth ? k : i), lines = 16 * (kAlongDepth ? i : k);
    ldmatrix<!kAlongDepth>(r, panel + (first ^ along_line) + lines * kPitch);
  }
};

template <class Tile, class SourceA, class SourceB>
__device__ void mma_tile(SourceA a, SourceB b, int panels, typename Tile::Sums& sums) {
  using PanelA = typename SourceA::Loads;
  using PanelB = typename SourceB::Loads;
  constexpr int kFragmentsA = Tile::kWarpRows / 16, kFragmentsB = Tile::kWarpColumns / 16;
  bf16* const shared = dynamic_shared<bf16>();

  const auto copy = [&](int panel) {
    if (panel < panels) {
      bf16* const to = shared + panel % Tile::kStages * Tile::kStage;
#pragma unroll
      for (int i = 0; i < PanelA::kVectors; ++i) PanelA::copy(to, i, a.next(i));
#pragma unroll
      for (int i = 0; i < PanelB::kVectors; ++i) PanelB::copy(to + Tile::kPanelA, i, b.next(i));
    }
    cp_async_commit();  // an empty group, too: the groups are counted
  };
#pragma unroll
  for (int panel = 0; panel < Tile::kStages - 1; ++panel) copy(panel);

  const int first_a = PanelA::fragment(Tile::warp_row());
  const int first_b = PanelB::fragment(Tile::warp_column());
#pragma unroll 1
  for (int panel = 0; panel < panels; ++panel) {
    cp_async_wait<Tile::kStages - 2>();
    __syncthreads();  // this panel is here, and nobody reads the one before it any more
    copy(panel + Tile::kStages - 1);
    const bf16* const panel_a = shared + panel % Tile::kStages * Tile::kStage;
    const bf16* const panel_b = panel_a + Tile::kPanelA;
#pragma unroll
    for (int k = 0; k < Tile::kDepth / 16; ++k) {
      uint32_t part_a[kFragmentsA][4], part_b[kFragmentsB][4];
#pragma unroll
      for (int i = 0; i < kFragmentsA; ++i) PanelA::load(part_a[i], panel_a, first_a, i, k);
#pragma unroll
      for (int j = 0; j < kFragmentsB; ++j) PanelB::load(part_b[j], panel_b, first_b, j, k);
#pragma unroll
      for (int i = 0; i < kFragmentsA; ++i)
#pragma unroll
        for (int j = 0; j < kFragmentsB; ++j) {
          mma(sums[i][2 * j], part_a[i], part_b[j][0], part_b[j][2]);
          mma(sums[i][2 * j + 1], part_a[i], part_b[j][1], part_b[j][3]);
        }
    }
  }
}

// Where sums lie in shared memory: a row's groups of eight are permuted against conflicts of banks.
template <class Tile>
__device__ int sum_index(int row, int column) {
  return row * Tile::kColumns + (column ^ (row % 4 * 8));
}

// store(row, column, sums of kWidth neighbours) for the whole tile, with neighbouring threads on
// neighbouring columns. The sums pass through shared memory, where store may leave others.
template <class Tile, int kWidth, class Store>
__device__ void for_each_sum(const typename Tile::Sums& sums, bool keeps, Store store) {
  float* const shared = dynamic_shared<float>();
  const int lane = threadIdx.x % kWarp;
  const int first_row = Tile::warp_row() + lane / 4;
  const int first_column = Tile::warp_column() + lane % 4 * 2;
  __syncthreads();  // the panels have been read
#pragma unroll
  for (int i = 0; i < Tile::kWarpRows / 16; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kWarpColumns / 8; ++j) {
      const float(&c)[4] = sums[i][j];
      const int row = first_row + i * 16, column = first_column + j * 8;
      store_packed(shared + sum_index<Tile>(row, column), Packed<float, 2>{{c[0], c[1]}});
      store_packed(shared + sum_index<Tile>(row + 8, column), Packed<float, 2>{{c[2], c[3]}});
    }
  __syncthreads();
  constexpr int kAcross = Tile::kColumns / kWidth;
  const int column = static_cast<int>(threadIdx.x) % kAcross * kWidth;
  for (int row = static_cast<int>(threadIdx.x) / kAcross; row < Tile::kRows;
       row += Tile::kThreads / kAcross) {
    float values[kWidth];
    load_values(shared + sum_index<Tile>(row, column), values);
    store(row, column, values);
    if (keeps) store_values(shared + sum_index<Tile>(row, column), values);
  }
}

// After for_each_sum: store(row, column, moments of the chunk of rows and the quad of columns that
// begin there) for the whole tile.
template <class Tile, class Store>
__device__ void for_each_chunk(Store store) {
  const float* const shared = dynamic_shared<float>();
  constexpr int kAcross = Tile::kColumns / kQuad;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows / kChunk * kAcross;
       i += Tile::kThreads) {
    const int row = i / kAcross * kChunk, column = i % kAcross * kQuad;
    store(row, column, merge<float>(kChunk, [&](int k) {
            const auto quad = load_packed<float, 4>(shared + sum_index<Tile>(row + k, column));
            return moments_of_quad(quad.v[0], quad.v[1], quad.v[2], quad.v[3]);
          }));
  }
}

}  // namespace ddpm::cuda
