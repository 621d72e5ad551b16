#include "framework/cpu/conv2d_winograd_tiles.h"

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {
namespace {

// Of a plane of the result that is cut into tiles: the transforms of the weights cost as much as
// those of some tens of tiles, and 1.3 of the 4 multiply-adds that are saved are lost where tiles
// reach a third beyond the plane (conv_bench on two cores with AVX-512).
bool pays(const Conv2dProblem& p, int64_t height, int64_t width, int64_t least_tiles) {
  constexpr int64_t kLeastChannels = 16;
  const int64_t tiles = winograd_tiles(p.images, height, width).count();
  const bool fills_tiles = 10 * p.images * height * width >= 7 * 16 * tiles;
  return is_winograd_allowed() && p.dtype == DType::kF32 && p.kernel_height == 3 &&
         p.kernel_width == 3 && p.stride == 1 && p.in_channels >= kLeastChannels &&
         p.out_channels >= kLeastChannels && tiles >= least_tiles && fills_tiles;
}

}  // namespace

bool winograd_pays(const Conv2dProblem& p) {
  return pays(p, p.out_height, p.out_width, 32) && pays(p, p.in_height, p.in_width, 32);
}

bool winograd_weight_pays(const Conv2dProblem& p) { return pays(p, p.out_height, p.out_width, 64); }

}  // namespace ddpm::cpu
