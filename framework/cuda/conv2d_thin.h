// Convolutions of stride 1 one of whose sides has few channels, as the first and the last of an
// image network: bf16. The neighbours of every pixel of the thin side are written side by side, at
// most 64 columns, and what remains is pointwise: the wide side is read or written once, where an
// implicit product would read it once per tap or gather single elements. For the forward pass of a
// thin result it is the other way round: the products of every pixel with all taps, in f32, are
// added up where they belong.
#pragma once

#include "framework/core/conv2d_problem.h"

namespace ddpm::cuda {

bool thin_supports_forward(const Conv2dProblem& problem);          // few of C or of K
bool thin_supports_backward_data(const Conv2dProblem& problem);    // few of K
bool thin_supports_backward_weight(const Conv2dProblem& problem);  // few of C or of K
void thin_forward(const Conv2dProblem& problem, const Conv2dOperands& operands);
void thin_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands);
void thin_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands);

}  // namespace ddpm::cuda
