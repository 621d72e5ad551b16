// Inverted dropout: each element is zero with probability `rate`, else multiplied by 1 / (1 -
// rate). The mask is a function of the stream and is drawn again in backward instead of being kept.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/random/random.h"

namespace ddpm {

Tensor dropout(const Tensor& x, double rate, const RandomStream& stream);

// y = mask * x / (1 - rate); the forward map and its own adjoint.
DDPM_KERNEL(void dropout_forward(const Tensor& x, double rate, const RandomStream& stream,
                                 Tensor& y));

}  // namespace ddpm
