// A small convolutional classifier of images. What its last stage sees, averaged over positions, is
// the feature space of the Frechet and kernel distances (experiments/metrics).
//
//   h = silu(norm(conv3x3(h)))  per stage; each halves the resolution, the first if asked to
//   features = spatial mean of h;  logits = dense(features)
#pragma once

#include <vector>

#include "framework/config/config.h"
#include "layers/basic.h"

namespace ddpm {

struct ClassifierOptions {
  std::vector<int64_t> channels = {32, 64, 64};  // of each stage; the last is the feature dimension
  int64_t first_stride = 1;                      // 2 is four times cheaper

  ClassifierOptions() = default;
  explicit ClassifierOptions(const Config& config);
};

struct Classifier {
  // `image_shape` is (H, W, C). Throws a UserError when it cannot be halved often enough.
  Classifier(const Scope& scope, const ClassifierOptions& options, const Shape& image_shape,
             int64_t classes);

  Tensor features(const Tensor& x) const;  // (N, H, W, C) -> (N, channels.back())
  Tensor logits(const Tensor& x) const;    // (N, H, W, C) -> (N, classes)
  Tensor logits_of(const Tensor& features) const { return dense(features); }

  struct Stage {
    Conv3x3 conv;
    GroupNorm norm;
  };
  Shape image_shape;
  std::vector<Stage> stages;
  Linear dense;
};

}  // namespace ddpm
