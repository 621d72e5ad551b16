// The names and layouts of the U-Net's parameters in a state dict of diffusers' UNet2DModel.
#pragma once

#include <cstdint>
#include <string>

#include "framework/core/shape.h"

namespace ddpm {

// "down_1/attention_0/query/weight" -> "down_blocks.1.attentions.0.to_q.weight"
struct DiffusersName {
  std::string current;
  std::string legacy;  // before diffusers 0.15, google/ddpm-cifar10-32's; mostly the same
};
DiffusersName diffusers_name(const std::string& path, int64_t levels);

// Kernels (K, R, S, C) are (K, C, R, S) there, and a shortcut's matrix (K, C) is (K, C, 1, 1).
Shape diffusers_shape(const std::string& path, const Shape& shape);

}  // namespace ddpm
