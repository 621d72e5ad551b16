// import_run: a run folder from weights of diffusers' UNet2DModel, as training from another program
// would have left it: step 0, with Adam's moments at zero and every running average at the weights.
// Sampling, evaluation, figures and `train --resume` take it like any other run.
#pragma once

#include <string>
#include <vector>

#include "framework/config/config_source.h"

namespace ddpm {

struct ImportRequest {
  std::string file;          // safetensors, .pth or .bin, or a folder of diffusers with one of them
  std::string network = {};  // diffusers' config.json; empty: beside the file, if it is there
  std::string prefix = {};   // of the tensors' names; empty: found
  std::string out;           // the run folder
  bool overwrite = false;
  ConfigSource source;  // the experiment: data, diffusion, ...; `model` only without a config.json
  std::vector<std::string> argv, overrides;  // recorded
};

struct ImportOutcome {
  std::string weights_file, config_file;  // config_file: empty without one
  std::string prefix;
  std::string weights;  // "ema, decay 0.9999" or whatever the file says of itself; or ""
  int64_t parameters = 0;
};

// UserErrors name what does not fit: the key of config.json, or the tensor with its shape; then
// nothing is written. Memory is bounded by the size of the files until everything fits.
ImportOutcome import_run(ImportRequest request);

}  // namespace ddpm
