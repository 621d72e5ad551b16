#pragma once

#include "framework/random/random.h"

namespace ddpm::testing {

// Independent normal features; stream `site` is another sample of the same law.
inline Tensor normal_features(int64_t count, int64_t dimension, uint32_t site) {
  Tensor x = Tensor::empty({count, dimension}, DType::kF32, Device::kCpu);
  fill_normal({7, site, random_counter(0, 0, Device::kCpu)}, x);
  return x;
}

}  // namespace ddpm::testing
