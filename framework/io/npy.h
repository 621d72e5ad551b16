// NumPy's .npz: arrays for programs outside this project. Samples as u8 (N, H, W, C) under the name
// "arr_0" are what published evaluators of FID and Inception Score read.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"

namespace ddpm {

struct NpzArray {
  std::string name;
  Shape shape;
  DType dtype;
  std::span<const std::byte> values;  // row-major, in host memory
};

// An uncompressed archive of less than 4 GiB; equal arrays give equal bytes.
void write_npz(const std::string& path, const std::vector<NpzArray>& arrays);

}  // namespace ddpm
