// The feature space of FID, sFID, IS and KID: Inception-v3 with weights of the user's, behind one
// of the resizings that published numbers differ by (inception_input.h).
#pragma once

#include <string>

#include "experiments/metrics/feature_space.h"
#include "experiments/metrics/inception_input.h"
#include "layers/inception.h"

namespace ddpm {

class InceptionSpace : public FeatureSpace {
 public:
  // `weights` is a state dictionary of the PyTorch ports (pytorch-fid, torch-fidelity): a .pth or
  // safetensors. Throws a UserError when it holds another network, or when the data are no images
  // of one or three channels: grey ones are repeated to three.
  InceptionSpace(const std::string& weights, InceptionResize resize, const Dataset& dataset,
                 Device device);

  bool is_inception() const override { return true; }
  std::string name() const override { return std::string(name_of(resize_)); }
  std::string weights_sha256() const override { return weights_sha256_; }
  int64_t dimension() const override { return Inception::kFeatures; }
  int64_t logit_count() const override { return Inception::kClasses; }
  int64_t spatial_dimension() const override { return Inception::kSpatialFeatures; }
  ImageFeatures features(const Split& images) const override;

 private:
  InceptionResize resize_;
  Shape image_shape_;
  int levels_;
  Device device_;
  Parameters parameters_;
  Inception network_;
  std::string weights_sha256_;
};

}  // namespace ddpm
