// Doubles on the host <-> f32 or f64 tensors: tables go up, evaluation reads back.
#pragma once

#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

// Waits for the device; evaluation and tests only.
inline std::vector<double> read_values(const Tensor& x) {
  if (x.dtype() == DType::kF64) return x.to_host<double>();
  const std::vector<float> values = x.to_host<float>();
  return {values.begin(), values.end()};
}

inline Tensor write_values(const std::vector<double>& values, Shape shape, DType dtype,
                           Device device) {
  if (dtype == DType::kF64) return Tensor::from_host(values, shape, device);
  return Tensor::from_host(std::vector<float>(values.begin(), values.end()), shape, device);
}

}  // namespace ddpm
