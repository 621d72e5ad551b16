// One tile of a matrix product, sum (rows, columns) = A (rows, depth) B (depth, columns), computed by
// one block on the CUDA cores: panels of A and B go through shared memory in two buffers, every
// thread keeps 8x8 sums in registers. Where an element of A or B lies is the business of a source: a
// matrix in memory, or the pixels under the taps of a convolution (conv2d_sources.cuh). The sums run
// over the depth in order, so a result never depends on the launch.
#pragma once

#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"

namespace ddpm::cuda {

template <class T_, int kRows_, int kColumns_, int kDepth_>
struct GemmTile {
  using T = T_;
  static constexpr int kRows = kRows_, kColumns = kColumns_, kDepth = kDepth_;
  static constexpr int kThreads = kRows * kColumns / 64;
  // Four more elements per line of a panel halve the bank conflicts of transposing stores and keep
  // every line aligned for vector loads.
  static constexpr int kRowPitch = kRows + 4, kColumnPitch = kColumns + 4;
  static constexpr int kBuffer = kDepth * (kRowPitch + kColumnPitch);
  static constexpr int kSharedBytes = 2 * kBuffer * static_cast<int>(sizeof(T));
};

// How the threads share the loads of a panel of kDepth x kExtent elements, kWidth at a time. The
// vectors lie along the depth when consecutive depths are neighbours in memory, else along the
// extent. Vector i of a thread is kStep lines after vector i - 1.
template <class Tile, int kExtent, int kWidth_, bool kAlongDepth_>
struct PanelLoads {
  static constexpr int kWidth = kWidth_;
  static constexpr bool kAlongDepth = kAlongDepth_;
  static constexpr int kAcross = (kAlongDepth ? Tile::kDepth : kExtent) / kWidth;
  static constexpr int kVectors = Tile::kDepth * kExtent / (kWidth * Tile::kThreads);
  static constexpr int kStep = Tile::kThreads / kAcross;
  static_assert(kVectors >= 1 && Tile::kThreads % kAcross == 0);
  static constexpr int kDepthPerPanel = Tile::kDepth;

  using Vector = Packed<typename Tile::T, kWidth>;

  __device__ static int extent(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kAlongDepth ? thread / kAcross + i * kStep : thread % kAcross * kWidth;
  }
  __device__ static int depth(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kAlongDepth ? thread % kAcross * kWidth : thread / kAcross + i * kStep;
  }
};
