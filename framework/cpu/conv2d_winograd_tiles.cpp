#include "framework/cpu/conv2d_winograd_tiles.h"

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {
namespace {

// A plane of the result that is cut into tiles: 1.3 of the 4 multiply-adds that are saved are lost
// where tiles reach a third beyond the plane (conv_bench on two cores with AVX-512).
bool suits(const Conv2dProblem& p, int64_t height, int64_t width) {
  constexpr int64_t kLeastChannels = 16;
  const bool fills_tiles = 10 * height * width >= 7 * 16 * winograd_tiles(1, height, width).count();
  return is_winograd_allowed() && p.dtype == DType::kF32 && p.kernel_height == 3 &&
         p.kernel_width == 3 && p.stride == 1 && p.in_channels >= kLeastChannels &&
         p.out_channels >= kLeastChannels && fills_tiles;
}

}  // namespace

// Whatever the number of images: a batch may be split without changing a bit of its results. In
// training, the transforms of the weights cost as much as those of some tens of tiles.
bool winograd_pays(const Conv2dProblem& p) {
  constexpr int64_t kLeastTiles = 4;  // of an image
  return suits(p, p.out_height, p.out_width) && suits(p, p.in_height, p.in_width) &&
         winograd_tiles(1, p.out_height, p.out_width).count() >= kLeastTiles;
}

bool winograd_weight_pays(const Conv2dProblem& p) {
  constexpr int64_t kLeastTiles = 64;
  return suits(p, p.out_height, p.out_width) &&
         winograd_tiles(p.images, p.out_height, p.out_width).count() >= kLeastTiles;
}

}  // namespace ddpm::cpu
