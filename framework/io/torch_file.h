// State dicts of PyTorch (.pth, .pt), in the ZIP container of version 1.6 and later and in the
// stream of files before it. No Python runs: a file with anything but data in it is refused.
#pragma once

#include <string>

#include "framework/io/file.h"
#include "framework/io/named_tensors.h"

namespace ddpm {

// Whether the file begins as the old stream does; a ZIP archive may be a .npz as well.
bool is_legacy_torch_file(const InputFile& file);

// All tensors. Those in nested dicts and lists are named by their path: "state_dict.conv.weight",
// "0.conv.weight"; numbers, texts and None between them are passed over. Views become tensors of
// their own values, 0-d tensors have the shape (); parameters that share a storage share it here
// too.
NamedTensors read_torch_file(const std::string& path);

}  // namespace ddpm
