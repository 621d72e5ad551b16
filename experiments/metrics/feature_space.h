// FeatureSpace: where images become points whose distances mean something. Numbers of two spaces
// cannot be compared: the space is part of every metric's name, and only in Inception's is a
// Frechet distance an FID.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/metrics/extractor.h"

namespace ddpm {

// Of n images, f32 on the host.
struct ImageFeatures {
  Tensor features;  // (n, D)
  // Null in spaces that have none:
  Tensor logits;   // (n, K), for the Inception Score
  Tensor spatial;  // (n, S), for sFID: features that say where in the image they are
};

class FeatureSpace {
 public:
  virtual ~FeatureSpace() = default;

  virtual bool is_inception() const = 0;
  virtual std::string name() const = 0;  // "digits1"; of Inception the resizing, "tf"
  virtual std::string weights_sha256() const = 0;
  virtual int64_t dimension() const = 0;                   // D
  virtual int64_t logit_count() const { return 0; }        // K; 0: none
  virtual int64_t spatial_dimension() const { return 0; }  // S; 0: none

  // Of images of the data that the space was made for, as pixels or values. They do not depend on
  // which images are together.
  virtual ImageFeatures features(const Split& images) const = 0;
  // The class of each image as far as its features (N, D) tell; empty in spaces that know none.
  virtual std::vector<int32_t> classify(const Tensor&) const { return {}; }
};

// That of a classifier of the data set.
class ExtractorSpace : public FeatureSpace {
 public:
  // Throws a UserError when the extractor is not one for these data.
  ExtractorSpace(std::unique_ptr<FeatureExtractor> extractor, const Dataset& dataset);

  bool is_inception() const override { return false; }
  std::string name() const override { return extractor_->name(); }
  std::string weights_sha256() const override { return extractor_->weights_sha256(); }
  int64_t dimension() const override { return extractor_->dimension(); }
  ImageFeatures features(const Split& images) const override {
    return {extractor_->features(images), {}, {}};
  }
  std::vector<int32_t> classify(const Tensor& features) const override {
    return extractor_->classify(features);
  }

 private:
  std::unique_ptr<FeatureExtractor> extractor_;
};

}  // namespace ddpm
