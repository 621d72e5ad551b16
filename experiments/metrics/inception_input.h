// From pixels to what Inception sees. The resizing to 299 x 299 moves a FID by more than the last
// digit that papers print, so that its name is part of every metric's: fid[tf].
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

enum class InceptionResize {
  kTf,       // TensorFlow 1's bilinear (source = target * in / out); (x - 128) / 128: TTUR,
             // torch-fidelity, the paper's own scores
  kPytorch,  // bilinear between pixel centres, no antialiasing; 2 x / 255 - 1: pytorch-fid
  kClean,    // Pillow's bicubic, widened where it shrinks, unrounded; (x - 128) / 128: clean-fid
};
std::string_view name_of(InceptionResize resize);  // "tf", "pytorch", "clean"
InceptionResize parse_inception_resize(std::string_view name);
std::vector<std::string> inception_resizes();

// pixels (N, H, W, 3) f32 on [0, 255], not necessarily whole -> (N, 299, 299, 3), about [-1, 1];
// both on the host
Tensor inception_input(const Tensor& pixels, InceptionResize resize);

}  // namespace ddpm
