// A pass of a convolution as a matrix product cut into tasks, one per block: a tile of the result
// over a piece of the depth. How a tile is multiplied is the algorithm's business (gemm_tile.cuh,
// mma_tile.cuh). Where one tile per block leaves most of a card idle, the depth is cut in pieces,
// whose partial sums a second kernel adds in order. Tiles and pieces follow from the shape alone,
// not from the card at hand: the bits are the same on every one.
#pragma once

#include <algorithm>

#include "framework/core/conv2d_problem.h"
#include "framework/cuda/conv2d_sources.cuh"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/moments.cuh"

namespace ddpm::cuda {

// The whole product; the data gradient has one per lattice, the largest counts.
struct Product {
  int64_t rows, columns, depth, lattices;
};

inline Product product_of(Conv2dPass pass, const Conv2dProblem& p) {
  switch (pass) {
    case Conv2dPass::kForward:
      return {p.images * p.out_pixels(), p.out_channels, p.taps() * p.in_channels, 1};
    case Conv2dPass::kBackwardData:
      return {
          p.images * ceil_div(p.in_height, p.stride) * ceil_div(p.in_width, p.stride),
          p.in_channels,
          ceil_div(p.kernel_height, p.stride) * ceil_div(p.kernel_width, p.stride) * p.out_channels,
          p.stride * p.stride};
    case Conv2dPass::kBackwardWeight:
      return {p.out_channels, p.taps() * p.in_channels, p.images * p.out_pixels(), 1};
  }
  return {};
}

// Pixels and depths are counted in 32 bits on the device, elements in 64; a grid has at most 65535
// lattices.
inline bool product_is_countable(const Conv2dProblem& p) {
  constexpr int64_t kMost = INT32_MAX / 2;
  return p.stride < 256 && p.images * p.in_pixels() <= kMost &&
         p.images * p.out_pixels() <= kMost && p.taps() * p.in_channels <= kMost &&
         p.taps() * p.out_channels <= kMost;
}

// A pointwise convolution as that of one long row of pixels, whose counters carry least often.
inline Conv2dProblem as_one_row(Conv2dProblem p) {
  p.in_width = p.out_width = p.images * p.in_pixels();
  p.images = p.in_height = p.out_height = 1;
  return p;
}

// Two blocks for each multiprocessor of the largest cards.
inline constexpr int64_t kWantedBlocks = 264;
inline constexpr int64_t kMostPieces = 64;

template <class Tile>
int64_t tiles_of(const Product& p) {
  return ceil_div(p.rows, Tile::kRows) * ceil_div(p.columns, Tile::kColumns);
}
template <class Tile>
int64_t pieces_of(const Product& p) {
  const int64_t most = std::min(kMostPieces, p.depth / Tile::kLeastPiece);
  return std::max<int64_t>(1, std::min(kWantedBlocks / (tiles_of<Tile>(p) * p.lattices), most));
}
// Whether tiles of 128x128 are worth their better use of memory.
template <class Tile>
bool suits_large(const Product& p) {
  return p.rows > Tile::kRows / 2 && p.columns > Tile::kColumns / 2 &&
         tiles_of<Tile>(p) * p.lattices * pieces_of<Tile>(p) >= kWantedBlocks / 2;
}

// What one block computes.
struct Task {
  int rows, columns, depth;  // of the whole product
  int first_row, first_column, first_depth, panels;
};

template <Conv2dPass kPass, class Tile>
__device__ Task task_of(const Conv2dExtents& e, const Lattice& lattice) {
  Task t;
  if constexpr (kPass == Conv2dPass::kBackwardWeight) {
    t.rows = e.out_channels;
    t.columns = lattice.taps() * e.in_channels;
    t.depth = e.images * lattice.pixels();
  } else {
    t.rows = e.images * lattice.pixels();
    t.columns = kPass == Conv2dPass::kForward ? e.out_channels : e.in_channels;
    t.depth = lattice.taps() * (kPass == Conv2dPass::kForward ? e.in_channels : e.out_channels);
  }
  // Tiles of the same rows are neighbours in time: the rows are the long operand.
  const int tile = static_cast<int>(blockIdx.x);
  const int column_tiles = (t.columns + Tile::kColumns - 1) / Tile::kColumns;
  t.first_row = tile / column_tiles * Tile::kRows;
  t.first_column = tile % column_tiles * Tile::kColumns;

  const int panels = (t.depth + Tile::kDepth - 1) / Tile::kDepth;
  const int pieces = static_cast<int>(gridDim.y), piece = static_cast<int>(blockIdx.y);
  const int share = (panels + pieces - 1) / pieces;
  const int begin = min(piece * share, panels);
  t.first_depth = begin * Tile::kDepth;
  t.panels = min(share, panels - begin);
  return t;
}

// body(source of A, source of B), whose panels the block loads as LoadsA and LoadsB say.
template <Conv2dPass kPass, class LoadsA, class LoadsB, class T, class Body>
__device__ void with_sources(const Conv2dExtents& e, const Lattice& lattice, const Task& t,
                             const T* a, const T* b, Body body) {
  if constexpr (kPass == Conv2dPass::kForward) {
    body(PixelRows<LoadsA>(a, e.in_height, e.in_width, e.in_channels, lattice, e.images,
                           t.first_row, t.first_depth),
         Matrix<LoadsB>(b, t.columns, t.depth, t.first_column, t.first_depth));
  } else if constexpr (kPass == Conv2dPass::kBackwardData) {
    body(PixelRows<LoadsA>(a, e.out_height, e.out_width, e.out_channels, lattice, e.images,
                           t.first_row, t.first_depth),
         WeightColumns<LoadsB>(b, e, lattice, t.first_column, t.first_depth));
  } else {
    body(Matrix<LoadsA>(a, t.depth, t.rows, t.first_row, t.first_depth),
         TapColumns<LoadsB>(b, e, t.first_column, t.first_depth));
  }
}
template <Conv2dPass kPass>
inline constexpr bool kAIsAlongDepth = kPass != Conv2dPass::kBackwardWeight;
template <Conv2dPass kPass>
inline constexpr bool kBIsAlongDepth = kPass == Conv2dPass::kForward;

// Where sums go: as they are to the partial results of a piece, or, with everything that is added
// to them, rounded once to the result. Addends may be null.
template <class T>
struct Conv2dResult {
  using Sum = Accumulator<T>;
  Sum* partial;                    // (pieces, rows, columns), or null
  T* out;                          // (rows, columns)
  const Sum* bias;                 // (columns)
  const T *per_sample, *residual;  // (rows / pixels, columns), (rows, columns)
  int64_t elements;
  int columns, pixels;
  bool is_packed;            // rows of all of them can be moved in packs
  float* moments = nullptr;  // of out, for a kernel that writes them; moments.h

  template <int kWidth>
  __device__ void store(int piece, int row, int column, Sum (&sums)[kWidth]) const {
    if (partial)
      store_values(partial + piece * elements + static_cast<int64_t>(row) * columns + column, sums);
    else
      finish(row, column, sums);
  }

  template <int kWidth>
  __device__ void finish(int row, int column, Sum (&sums)[kWidth]) const {
    const int64_t at = static_cast<int64_t>(row) * columns + column;
    if (bias) add(bias + column, sums);
    if (per_sample) add(per_sample + static_cast<int64_t>(row / pixels) * columns + column, sums);
    if (residual) add(residual + at, sums);
    store_values(out + at, sums);
  }

 private:
  template <class Addend, int kWidth>
  __device__ static void add(const Addend* addend, Sum (&sums)[kWidth]) {
    Sum values[kWidth];
    load_values(addend, values);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sums[k] += values[k];
  }
};

// A thread per kWidth elements of the result. One with pieces has few: counted in 32 bits.
template <class T, int kWidth>
__global__ void sum_pieces_kernel(Conv2dResult<T> result, int pieces) {
  using Sum = typename Conv2dResult<T>::Sum;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kWidth;
  if (i >= result.elements) return;
  Sum sums[kWidth];
  load_values(result.partial + i, sums);
#pragma unroll 4
  for (int piece = 1; piece < pieces; ++piece) {
    Sum values[kWidth];
    load_values(result.partial + piece * result.elements + i, values);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sums[k] += values[k];
  }
  result.finish(i / result.columns, i % result.columns, sums);
}

// Whether all operands begin where packs can be moved; null counts as that.
inline bool are_packable(const Conv2dOperands& o) {
  const auto all = [](const auto&... tensors) { return (is_packable(tensors.raw()) && ...); };
  return all(o.x, o.weight, o.bias, o.y, o.per_sample, o.residual);
}

// `pixels` are the rows of y that share a line of per_sample.
template <class T>
Conv2dResult<T> result_of(const Conv2dOperands& operands, const Tensor& out, int64_t columns,
                          int64_t pixels, bool is_packed, const Tensor& partial = {}) {
  using Sum = Accumulator<T>;
  return {partial ? partial.data<Sum>() : nullptr,
          out.data<T>(),
          operands.bias ? operands.bias.data<Sum>() : nullptr,
          operands.per_sample ? operands.per_sample.data<T>() : nullptr,
          operands.residual ? operands.residual.data<T>() : nullptr,
          out.numel(),
          static_cast<int>(columns),
          static_cast<int>(pixels),
          is_packed};
}

// Launches a kernel of (Conv2dExtents, a, b, Conv2dResult) on a grid of (tiles, pieces, lattices).
// One that writes `moments` does so without pieces.
template <Conv2dPass kPass, class Tile, class Out, class T>
void launch_product(void (*kernel)(Conv2dExtents, const T*, const T*, Conv2dResult<Out>),
                    const Conv2dProblem& p, const Conv2dOperands& operands, int64_t pixels,
                    bool is_packed, float* moments = nullptr) {
  using Sum = Accumulator<Out>;
  const auto narrow = [](int64_t value) { return static_cast<int>(value); };
  const Product product = product_of(kPass, p);
  const Tensor &x = operands.x, &weight = operands.weight, &y = operands.y;
  const Tensor& a = kPass == Conv2dPass::kForward ? x : y;
  const Tensor& b = kPass == Conv2dPass::kBackwardWeight ? x : weight;
  const Tensor& out = kPass == Conv2dPass::kForward        ? y
                      : kPass == Conv2dPass::kBackwardData ? x
                                                           : weight;
  const int64_t pieces = pieces_of<Tile>(product);
  Tensor partial;
  if (pieces > 1) partial = Tensor::empty({pieces, out.numel()}, dtype_of<Sum>, out.device());
  auto result = result_of<Out>(operands, out, product.columns, pixels, is_packed, partial);
  result.moments = moments;
  const dim3 grid(static_cast<unsigned>(tiles_of<Tile>(product)), static_cast<unsigned>(pieces),
                  static_cast<unsigned>(product.lattices));
  launch(kernel, grid, Tile::kThreads, Tile::kSharedBytes, extents_of(p),
         static_cast<const T*>(a.template data<T>()), static_cast<const T*>(b.template data<T>()),
         result);
  if (pieces == 1) return;
  constexpr int kPacked = Packed<Sum>::kSize;
  if (is_packed)
    launch(sum_pieces_kernel<Out, kPacked>, blocks_for(out.numel() / kPacked), kThreads, 0, result,
           narrow(pieces));
  else
    launch(sum_pieces_kernel<Out, 1>, blocks_for(out.numel()), kThreads, 0, result, narrow(pieces));
}

}  // namespace ddpm::cuda
