// The weights of Inception as its users have them: the state dictionary of the PyTorch ports
// (pytorch-fid, torch-fidelity), with kernels (out, in, rows, columns) and batch norms beside them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "framework/train/parameters.h"

namespace ddpm {

struct NamedWeight {
  std::vector<int64_t> shape;
  std::vector<float> values;  // row-major
};
using NamedWeights = std::map<std::string, NamedWeight>;  // "Mixed_5b.branch1x1.conv.weight"

// Fills the master buffer of an Inception's parameters; the batch norms become part of the
// convolutions. Throws a UserError that names the tensor where one is missing, has another shape or
// belongs to another network; `source` is what it calls the file.
void fold_inception_weights(const NamedWeights& weights, const std::string& source,
                            Parameters& parameters);

}  // namespace ddpm
