// A batch from a data set that lives on the device.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"
#include "framework/random/random.h"

namespace ddpm {

// Rows indices[n] of `images`, mirrored left to right where flip[n] is 1. u8 images (M, H, W, C)
// with `levels` grey levels are mapped to [-1, 1] by 2 p / (levels - 1) - 1; f32 images are taken
// as they are. indices (N) i32, flip (N) i32 or empty -> (N, H, W, C) of type `dtype`
Tensor gather_images(const Tensor& images, const Tensor& indices, const Tensor& flip, int levels,
                     DType dtype);
// labels (M) i32, indices (N) i32 -> (N) i32
Tensor gather_labels(const Tensor& labels, const Tensor& indices);
// Each label is `other` instead with probability `rate`. (N) i32 -> (N) i32
Tensor withhold_labels(const Tensor& labels, double rate, int32_t other,
                       const RandomStream& stream);

DDPM_KERNEL(void gather_images_forward(const Tensor& images, const Tensor& indices,
                                       const Tensor& flip, int levels, Tensor& y));
DDPM_KERNEL(void gather_labels_forward(const Tensor& labels, const Tensor& indices, Tensor& y));
DDPM_KERNEL(void withhold_labels_forward(const Tensor& labels, double rate, int32_t other,
                                         const RandomStream& stream, Tensor& y));

}  // namespace ddpm
