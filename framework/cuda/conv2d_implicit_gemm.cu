#include "framework/core/dispatch.h"
#include "framework/cuda/conv2d_implicit_gemm.h"
#include "framework/cuda/conv2d_product.cuh"
#include "framework/cuda/gemm_tile.cuh"

namespace ddpm::cuda {
namespace {

template <Conv2dPass kPass, class Tile, int kWidth>
__device__ __forceinline__ void implicit_gemm(const Conv2dExtents& e, const typename Tile::T* a,
                                              const typename Tile::T* b,
                                              const Conv2dResult<typename Tile::T>& result) {
  using T = typename Tile::T;
  constexpr bool kIsBackwardData = kPass == Conv2dPass::kBackwardData;
  const Lattice lattice = kIsBackwardData ? Lattice::backward_data(e, static_cast<int>(blockIdx.z))
                                          : Lattice::forward(e);
  const Task t = task_of<kPass, Tile>(e, lattice);
  if (t.first_row >= t.rows) return;  // lattices differ in size

  T sum[8][8] = {};
  using LoadsA = PanelLoads<Tile, Tile::kRows, kWidth, kAIsAlongDepth<kPass>>;
  using LoadsB = PanelLoads<Tile, Tile::kColumns, kWidth, kBIsAlongDepth<kPass>>;
  if (t.panels > 0)
    with_sources<kPass, LoadsA, LoadsB>(e, lattice, t, a, b,
                                        [&](const auto& source_a, const auto& source_b) {
                                          gemm_tile<Tile>(source_a, source_b, t.panels, sum);
                                        });

#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = t.first_row + Tile::row(i);
    if (row >= t.rows) break;
    const int out_row = kIsBackwardData ? lattice.pixel(row, e.in_height, e.in_width) : row;
#pragma unroll
    for (int j = 0; j < 8; j += kWidth) {
      const int column = t.first_column + Tile::column(j);
      if (column >= t.columns) break;
      T values[kWidth];
#pragma unroll
      for (int k = 0; k < kWidth; ++k) values[k] = sum[i][j + k];
      result.store(static_cast<int>(blockIdx.y), out_row, column, values);
    }
  }
}

// Arguments that stay in constant memory leave the gradients the registers they need. The forward
// pass needs them less, and would spill for the addresses.
template <Conv2dPass kPass, class Tile, int kWidth>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_implicit_gemm_kernel(const __grid_constant__ Conv2dExtents e, const typename Tile::T* a,
                                const typename Tile::T* b,
                                const __grid_constant__ Conv2dResult<typename Tile::T> result) {
  implicit_gemm<kPass, Tile, kWidth>(e, a, b, result);
}
template <class Tile, int kWidth>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_implicit_gemm_forward_kernel(Conv2dExtents e, const typename Tile::T* a,
                                        const typename Tile::T* b,
                                        Conv2dResult<typename Tile::T> result) {
  implicit_gemm<Conv2dPass::kForward, Tile, kWidth>(e, a, b, result);
}
template <Conv2dPass kPass, class Tile, int kWidth>
constexpr auto kernel_of() {
  if constexpr (kPass == Conv2dPass::kForward)
    return conv2d_implicit_gemm_forward_kernel<Tile, kWidth>;
  else
    return conv2d_implicit_gemm_kernel<kPass, Tile, kWidth>;
}

template <Conv2dPass kPass>
void run_pass(Conv2dProblem problem, const Conv2dOperands& operands) {
  const int64_t pixels = problem.out_pixels();
  if (problem.is_pointwise()) problem = as_one_row(problem);
  const Product product = product_of(kPass, problem);
  if (product.rows == 0) return;
  DDPM_FLOATS(problem.dtype, T, {
    const auto run = [&]<class Tile, int kWidth>() {
      launch_product<kPass, Tile>(kernel_of<kPass, Tile, kWidth>(), problem, operands, pixels,
                                  kWidth > 1);
    };
    using Small = GemmTile<T, 64, 64>;
    constexpr int kPacked = Packed<T>::kSize;
    if (problem.in_channels % kPacked != 0 || problem.out_channels % kPacked != 0 ||
        !are_packable(operands)) {
      run.template operator()<Small, 1>();
      return;
    }
    if constexpr (std::is_same_v<T, float>) {
      using Large = GemmTile<T, 128, 128>;
      if (suits_large<Large>(product)) {
        run.template operator()<Large, kPacked>();
        return;
      }
    }
    run.template operator()<Small, kPacked>();
  });
}

}  // namespace

bool implicit_gemm_supports(const Conv2dProblem& p) {
  return (p.dtype == DType::kF32 || p.dtype == DType::kF64) && product_is_countable(p);
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
