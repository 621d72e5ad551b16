// Files of named tensors by other programs, whichever they are.
#pragma once

#include <string>

#include "framework/io/named_tensors.h"

namespace ddpm {

// safetensors, PyTorch (ZIP and old stream), .npz or .npy, told apart by what the file holds and
// not by its name. A UserError that names the file and what is wrong with it.
NamedTensors read_tensor_file(const std::string& path);

}  // namespace ddpm
