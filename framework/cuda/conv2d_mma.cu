#include "framework/core/memory.h"
#include "framework/cuda/conv2d_mma.h"
#include "framework/cuda/conv2d_product.cuh"
#include "framework/cuda/mma_tile.cuh"

namespace ddpm::cuda {
namespace {

template <Conv2dPass kPass>
using ResultOf = std::conditional_t<kPass == Conv2dPass::kBackwardWeight, float, bf16>;

template <Conv2dPass kPass, class Tile, int kWidthA, int kWidthB>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_mma_kernel(Conv2dExtents e, const bf16* a, const bf16* b,
                      Conv2dResult<ResultOf<kPass>> result) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr bool kIsBackwardData = kPass == Conv2dPass::kBackwardData;
  const Lattice lattice = kIsBackwardData ? Lattice::backward_data(e, static_cast<int>(blockIdx.z))
                                          : Lattice::forward(e);
  const Task t = task_of<kPass, Tile>(e, lattice);
  if (t.first_row >= t.rows) return;  // lattices differ in size

  typename Tile::Sums sums = {};
  using LoadsA = MmaPanel<Tile, Tile::kRows, kWidthA, kAIsAlongDepth<kPass>>;
  using LoadsB = MmaPanel<Tile, Tile::kColumns, kWidthB, kBIsAlongDepth<kPass>>;
  if (t.panels > 0)  // else there may be no taps to count
    with_sources<kPass, LoadsA, LoadsB>(e, lattice, t, a, b,
                                        [&](const auto& source_a, const auto& source_b) {
                                          mma_tile<Tile>(source_a, source_b, t.panels, sums);
                                        });

  const bool has_moments = kPass == Conv2dPass::kForward && result.moments;
  const auto store = [&](int tile_row, int tile_column, auto& values) {
    const int row = t.first_row + tile_row, column = t.first_column + tile_column;
    if (row >= t.rows || column >= t.columns) return;
    const int out_row = kIsBackwardData ? lattice.pixel(row, e.in_height, e.in_width) : row;
    result.store(static_cast<int>(blockIdx.y), out_row, column, values);
    if (has_moments)
      for (float& value : values) value = bf16(value);
  };
  if (result.is_packed)
    for_each_sum<Tile, 8>(sums, has_moments, store);
  else
    for_each_sum<Tile, 1>(sums, has_moments, store);
  if (has_moments)
    for_each_chunk<Tile>([&](int tile_row, int tile_column, const Moments<float>& moments) {
      const int row = t.first_row + tile_row, column = t.first_column + tile_column;
      if (row < t.rows && column < t.columns)
        store_moments(result.moments, row / kChunk, t.columns / kQuad, column / kQuad, moments);
    });
#endif
}

template <Conv2dPass kPass>
void run_pass(Conv2dProblem problem, const Conv2dOperands& operands) {
  const int64_t pixels = problem.out_pixels();
  if (problem.is_pointwise()) problem = as_one_row(problem);
  const Product product = product_of(kPass, problem);
  if (product.rows == 0) return;
  const bool is_packable = are_packable(operands);
  const auto run = [&]<class Tile, int kWidthA, int kWidthB>() {
    Tensor moments;
    if (kPass == Conv2dPass::kForward && operands.feeds_norm && pieces_of<Tile>(product) == 1)
      moments = attach_moments(operands.y);
    launch_product<kPass, Tile>(conv2d_mma_kernel<kPass, Tile, kWidthA, kWidthB>, problem, operands,
                                pixels, is_packable && product.columns % 8 == 0,
                                moments ? moments.data<float>() : nullptr);
  };
  using Large = MmaTile<128, 128, 64, 32, 2>;
  using Small = MmaTile<64, 64, 32, 32, 4>;
  using Elements = MmaTile<64, 64, 32, 32, 2>;  // where at least one operand has odd channels
  const int64_t channels_of_a =
      kPass == Conv2dPass::kForward ? problem.in_channels : problem.out_channels;
  const bool a_in_packs = is_packable && channels_of_a % 8 == 0;
  const bool b_in_packs = is_packable && problem.in_channels % 8 == 0;
  if (a_in_packs && b_in_packs) {
    if (suits_large<Large>(product))
      run.template operator()<Large, 8, 8>();
    else
      run.template operator()<Small, 8, 8>();
    return;
  }
  if constexpr (kPass != Conv2dPass::kForward) {
    if (a_in_packs) return run.template operator()<Elements, 8, 1>();
    if (b_in_packs) return run.template operator()<Elements, 1, 8>();
  }
  run.template operator()<Elements, 1, 1>();
}

}  // namespace

bool mma_supports(const Conv2dProblem& p) {
  if (p.dtype != DType::kBf16 || !product_is_countable(p)) return false;
  static const bool has_tensor_cores = memory::gpu_info().capability >= kLeastMmaCapability;
  return has_tensor_cores;
}

void mma_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kForward>(problem, operands);
}
void mma_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kBackwardData>(problem, operands);
}
void mma_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_pass<Conv2dPass::kBackwardWeight>(problem, operands);
}

}  // namespace ddpm::cuda
