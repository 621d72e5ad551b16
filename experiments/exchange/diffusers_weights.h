// The weights of a U-Net as a state dict of diffusers' UNet2DModel, in both directions. Values are
// moved, never rounded.
#pragma once

#include <string>
#include <vector>

#include "framework/io/named_tensors.h"
#include "framework/train/parameters.h"

namespace ddpm {

// What the parameters show, f32, in the order of the slots.
std::vector<NamedTensor> to_diffusers(const Parameters& parameters, int64_t levels);

// The tensor of a file for each parameter, in the order of the slots; nothing is allocated.
// `prefix` stands before the names of the network ("ema_model."); tensors without it are left
// alone. UserErrors name the first tensor that is missing, has another shape or a type that f32
// cannot hold, or belongs to no parameter.
std::vector<Tensor> find_diffusers(const NamedTensors& file, const std::string& prefix,
                                   const Parameters& parameters, int64_t levels);
// The prefix of the only UNet2DModel in a file, mostly "". A UserError where there is none, or more
// than one.
std::string diffusers_prefix(const NamedTensors& file);

// What find_diffusers found, into the master weights of the same parameters.
void from_diffusers(const std::vector<Tensor>& found, Parameters& parameters);

}  // namespace ddpm
