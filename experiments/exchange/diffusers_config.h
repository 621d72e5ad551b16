// The config.json of diffusers' UNet2DModel and the U-Net it describes, in both directions. What
// either side cannot express is a UserError that names the key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "layers/unet.h"

namespace ddpm {

struct Unet2dModel {
  UNetOptions options;  // `dropout` included
  ImageGeometry image;
};

// Strict: every key that UNet2DModel knows is read, with diffusers' default where it is missing;
// unknown ones are refused unless they begin with '_' or belong to diffusers' EMAModel.
Unet2dModel read_unet2d_config(const std::string& path);

// Every key that decides what the network computes.
nlohmann::ordered_json unet2d_config(const Unet2dModel& model);

// `model` of a configuration of ours.
nlohmann::ordered_json model_config(const UNetOptions& options);

}  // namespace ddpm
