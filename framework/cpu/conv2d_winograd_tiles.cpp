#include "framework/cpu/conv2d_winograd_tiles.h"

#include "framework/cpu/conv2d_algorithms.h"

namespace ddpm::cpu {
namespace {

bool is_possible(const Conv2dProblem& p) {
  return p.dtype == DType::kF32 && p.kernel_height == 3 && p.kernel_width == 3 && p.stride == 1;
}

}  // namespace

bool winograd_pays(const Conv2dProblem& p) {
  return is_winograd_allowed() && is_possible(p) && p.in_channels >= 16 && p.out_channels >= 16;
}

bool winograd_weight_pays(const Conv2dProblem& p) { return winograd_pays(p); }

}  // namespace ddpm::cpu
