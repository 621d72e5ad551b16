#include <algorithm>

#include "framework/core/dispatch.h"
#include "framework/cuda/conv2d_implicit_gemm.h"
#include "framework/cuda/conv2d_sources.cuh"
#include "framework/cuda/gemm_tile.cuh"

namespace ddpm::cuda {
namespace {

template <class T>
struct Operands {
  const T *a, *b, *bias;  // a matrix product's operands; one bias per column, or null
  T* out;
};

// Which sums a block computes: a tile of the result, over a range of panels of the depth.
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

template <Conv2dPass kPass, class Tile, int kWidth>
__device__ void multiply(const Conv2dExtents& e, const Lattice& lattice, const Task& t,
                         const Operands<typename Tile::T>& operands,
                         typename Tile::T (&sum)[8][8]) {
  constexpr bool kIsBackwardWeight = kPass == Conv2dPass::kBackwardWeight;
  using LoadsA = PanelLoads<Tile, Tile::kRows, kWidth, !kIsBackwardWeight>;
  using LoadsB = PanelLoads<Tile, Tile::kColumns, kWidth, kPass == Conv2dPass::kForward>;
  if constexpr (kPass == Conv2dPass::kForward) {
    const PixelRows<LoadsA> a(operands.a, e.in_height, e.in_width, e.in_channels, lattice, e.images,
                              t.first_row, t.first_depth);
    const Matrix<LoadsB> b(operands.b, t.columns, t.depth, t.first_column, t.first_depth);
    gemm_tile<Tile>(a, b, t.panels, sum);
  } else if constexpr (kPass == Conv2dPass::kBackwardData) {
    const PixelRows<LoadsA> a(operands.a, e.out_height, e.out_width, e.out_channels, lattice,
                              e.images, t.first_row, t.first_depth);
    const WeightColumns<LoadsB> b(operands.b, e, lattice, t.first_column, t.first_depth);
    gemm_tile<Tile>(a, b, t.panels, sum);
  } else {
    const Matrix<LoadsA> a(operands.a, t.depth, t.rows, t.first_row, t.first_depth);
    const TapColumns<LoadsB> b(operands.b, e, t.first_column, t.first_depth);
    gemm_tile<Tile>(a, b, t.panels, sum);
  }
}

// A grid of (tiles, pieces of the depth, lattices). With several pieces, `out` holds as many whole
// results behind one another.
template <Conv2dPass kPass, class Tile, int kWidth>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_implicit_gemm_kernel(Conv2dExtents e, Operands<typename Tile::T> operands) {
  using T = typename Tile::T;
  constexpr bool kIsBackwardData = kPass == Conv2dPass::kBackwardData;
  const Lattice lattice = kIsBackwardData ? Lattice::backward_data(e, static_cast<int>(blockIdx.z))
                                          : Lattice::forward(e);
  const Task t = task_of<kPass, Tile>(e, lattice);
  if (t.first_row >= t.rows) return;  // lattices differ in size

  T sum[8][8] = {};
  if (t.panels > 0) multiply<kPass, Tile, kWidth>(e, lattice, t, operands, sum);

  const int64_t out_rows =
      kIsBackwardData ? static_cast<int64_t>(e.images) * e.in_height * e.in_width : t.rows;
  T* const out = operands.out + blockIdx.y * out_rows * t.columns;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = t.first_row + Tile::row(i);
    if (row >= t.rows) break;
    const int64_t out_row = kIsBackwardData ? lattice.pixel(row, e.in_height, e.in_width) : row;
#pragma unroll
    for (int j = 0; j < 8; j += kWidth) {
      const int column = t.first_column + Tile::column(j);
      if (column >= t.columns) break;
      Packed<T, kWidth> vector;
#pragma unroll
      for (int k = 0; k < kWidth; ++k)
        vector.v[k] = sum[i][j + k] + (operands.bias ? operands.bias[column + k] : T(0));
      store_packed(out + out_row * t.columns + column, vector);
    }
  }
}

// out[i] = bias[i % columns] + the sum of `pieces` partial results, first to last.
template <class T>
__global__ void sum_pieces_kernel(const T* partial, int pieces, int64_t elements, const T* bias,
                                  int columns, T* out) {
  const int64_t i = global_thread();
  if (i >= elements) return;
  T sum = partial[i];
  for (int piece = 1; piece < pieces; ++piece) sum += partial[piece * elements + i];
  out[i] = bias ? sum + bias[i % columns] : sum;
}

// The matrix product of a pass; the data gradient has one per lattice, the largest counts.
struct Product {
  int64_t rows, columns, depth, lattices;
};

Product product_of(Conv2dPass pass, const Conv2dProblem& p) {
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

template <class Tile>
int64_t tiles_of(const Product& p) {
  return ceil_div(p.rows, Tile::kRows) * ceil_div(p.columns, Tile::kColumns);
}

// Two blocks for each multiprocessor of the largest cards; not asked of the card at hand, so that
// sums are the same everywhere.
constexpr int64_t kWantedBlocks = 264;
constexpr int64_t kLeastDepth = 128;  // of a piece: below it, writing partial sums takes longer
constexpr int64_t kMostPieces = 64;

template <class Tile>
int64_t pieces_of(const Product& p) {
  const int64_t most = std::min(kMostPieces, p.depth / kLeastDepth);
  return std::max<int64_t>(1, std::min(kWantedBlocks / (tiles_of<Tile>(p) * p.lattices), most));
}

template <Conv2dPass kPass, class Tile, int kWidth>
void run_tiles(const Product& product, const Conv2dProblem& p, const Conv2dOperands& operands) {
  using T = typename Tile::T;
  const auto narrow = [](int64_t value) { return static_cast<int>(value); };
  const Conv2dExtents extents{
      narrow(p.images),       narrow(p.in_height), narrow(p.in_width),     narrow(p.in_channels),
      narrow(p.out_height),   narrow(p.out_width), narrow(p.out_channels), narrow(p.kernel_height),
      narrow(p.kernel_width), narrow(p.stride),    narrow(p.pad_top),      narrow(p.pad_left)};
  const Tensor &x = operands.x, &weight = operands.weight, &y = operands.y;
  const Tensor& out = kPass == Conv2dPass::kForward        ? y
                      : kPass == Conv2dPass::kBackwardData ? x
                                                           : weight;
  const T* bias = kPass != Conv2dPass::kBackwardWeight && operands.bias
                      ? operands.bias.template data<T>()
                      : nullptr;
  const int64_t pieces = pieces_of<Tile>(product);
  Tensor partial;
  if (pieces > 1) partial = Tensor::empty({pieces, out.numel()}, out.dtype(), out.device());
  const Operands<T> arguments{
      (kPass == Conv2dPass::kForward ? x : y).template data<T>(),
      (kPass == Conv2dPass::kBackwardWeight ? x : weight).template data<T>(),
      partial ? nullptr : bias, (partial ? partial : out).template data<T>()};
  const dim3 grid(static_cast<unsigned>(tiles_of<Tile>(product)), static_cast<unsigned>(pieces),
                  static_cast<unsigned>(product.lattices));
  launch(conv2d_implicit_gemm_kernel<kPass, Tile, kWidth>, grid, Tile::kThreads, Tile::kSharedBytes,
         extents, arguments);
  if (partial)
    launch(sum_pieces_kernel<T>, blocks_for(out.numel()), kThreads, 0,
           static_cast<const T*>(arguments.out), narrow(pieces), out.numel(), bias,
           narrow(product.columns), out.data<T>());
}

// Vectors of kSize elements need channels in multiples of it everywhere.
template <class T>
bool moves_in_packs(const Conv2dProblem& p, const Conv2dOperands& operands) {
  const bool fits = p.in_channels % Packed<T>::kSize == 0 && p.out_channels % Packed<T>::kSize == 0;
  return fits && is_packable(operands.x.raw()) && is_packable(operands.weight.raw()) &&
         is_packable(operands.y.raw());
}

template <Conv2dPass kPass>
void run_pass(Conv2dProblem problem, const Conv2dOperands& operands) {
  if (problem.is_pointwise()) {  // one long row of pixels: their counters carry least often
    problem.in_width = problem.out_width = problem.images * problem.in_pixels();
    problem.images = problem.in_height = problem.out_height = 1;
  }
  const Product product = product_of(kPass, problem);
  if (product.rows == 0) return;
  DDPM_FLOATS(problem.dtype, T, {
    using Small = GemmTile<T, 64, 64>;
    if (!moves_in_packs<T>(problem, operands)) {
      run_tiles<kPass, Small, 1>(product, problem, operands);
      return;
    }
    if constexpr (std::is_same_v<T, float>) {
      using Large = GemmTile<T, 128, 128>;
      const bool fills_card =
          tiles_of<Large>(product) * product.lattices * pieces_of<Large>(product) >=
          kWantedBlocks / 2;
      if (product.rows > 64 && product.columns > 64 && fills_card) {
        run_tiles<kPass, Large, Packed<T>::kSize>(product, problem, operands);
        return;
      }
    }
    run_tiles<kPass, Small, Packed<T>::kSize>(product, problem, operands);
  });
}

}  // namespace

// Pixels and depths are counted in 32 bits on the device, elements in 64; a grid has at most 65535
// lattices.
bool implicit_gemm_supports(const Conv2dProblem& p) {
  constexpr int64_t kMost = INT32_MAX / 2;
  const bool is_float = p.dtype == DType::kF32 || p.dtype == DType::kF64;
  return is_float && p.stride < 256 && p.images * p.in_pixels() <= kMost &&
         p.images * p.out_pixels() <= kMost && p.taps() * p.in_channels <= kMost &&
         p.taps() * p.out_channels <= kMost;
}

void implicit_gemm_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kForward>(problem, operands);
}
void implicit_gemm_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kBackwardData>(problem, operands);
}
void implicit_gemm_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kBackwardWeight>(problem, operands);
}

}  // namespace ddpm::cuda
