// Operands of a benchmark: normal numbers. Zeros cost less power, and a GPU then clocks higher.
#pragma once

#include <vector>

#include "framework/core/tensor.h"
#include "framework/random/random.h"

namespace ddpm::bench {

// f32 or bf16. Drawn by the processors: the same numbers everywhere.
inline Tensor random_tensor(Shape shape, DType dtype, Device device, uint32_t site) {
  Tensor normal = Tensor::empty(shape, DType::kF32, Device::kCpu);
  fill_normal({1, site, random_counter(0, 0, Device::kCpu)}, normal);
  const float* values = normal.data<float>();
  const auto convert = [&]<class T>(T) {
    return Tensor::from_host(std::vector<T>(values, values + shape.numel()), shape, device);
  };
  return dtype == DType::kBf16 ? convert(bf16{}) : convert(float{});
}

}  // namespace ddpm::bench
