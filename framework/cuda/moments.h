// Partial statistics that a convolution leaves with its result y (N, H, W, C) for the group_norm
// that follows, which then need not read y before it normalises it. Of every 16 positions of a
// sample (a chunk) and 4 channels (a quad), they are the mean and the sum of squared deviations
// from it, of the values as they are stored. Any group of whole quads is merged from them, also one
// of two tensors side by side; which positions make a chunk is the convolution's business.
#pragma once

#include "framework/core/tensor.h"

namespace ddpm::cuda {

inline constexpr int kChunk = 16, kQuad = 4;

// GradSlot::moments of y, (N, chunks, C / 4, 2) f32, for the kernel that writes y to write, too.
// Empty where y is not (N, H, W, C) in bf16, of whole quads, and of whole chunks within each of
// `phases` equal shares of the positions of a sample.
Tensor attach_moments(const Tensor& y, int phases = 1);

// Group norms that found the moments of all they read, and those that read it to have them: whether
// the convolutions of a network serve its norms.
struct MomentsTally {
  int64_t found = 0, missed = 0;
};
MomentsTally& moments_tally();

}  // namespace ddpm::cuda
