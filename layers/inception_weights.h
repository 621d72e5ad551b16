// The weights of Inception as its users have them: the state dictionary of the PyTorch ports
// (pytorch-fid, torch-fidelity), with kernels (out, in, rows, columns) and batch norms beside them.
#pragma once

#include "framework/io/named_tensors.h"
#include "framework/train/parameters.h"

namespace ddpm {

// Fills the master buffer of an Inception's parameters from f32 tensors named as in
// "Mixed_5b.branch1x1.conv.weight"; the batch norms become part of the convolutions. Throws a
// UserError that names the file and the tensor where one is missing, has another shape or type, or
// belongs to another network.
void fold_inception_weights(const NamedTensors& weights, Parameters& parameters);

}  // namespace ddpm
