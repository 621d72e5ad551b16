// How diffusers names the files of a model's folder.
#pragma once

namespace ddpm {

inline constexpr const char* kDiffusersConfig = "config.json";
inline constexpr const char* kDiffusersWeights = "diffusion_pytorch_model.safetensors";
inline constexpr const char* kDiffusersPickle = "diffusion_pytorch_model.bin";

}  // namespace ddpm
