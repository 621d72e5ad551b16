// A classifier of noisy images: the way down of the U-Net, which is told t, an average over what is
// left of the positions, and a score for each class (Dhariwal & Nichol 2021, section 4, whose
// larger ones end in attention). Its gradient guides a diffusion model (diffusion/guidance.h).
#pragma once

#include "layers/unet_encoder.h"

namespace ddpm {

struct UNetClassifierOptions : DenoiserOptions, UNetEncoderOptions {
  UNetClassifierOptions() = default;
  explicit UNetClassifierOptions(const Config& config) : UNetEncoderOptions(config) {}
  std::unique_ptr<Denoiser> build(const Scope& scope, const ImageGeometry& image) const override;
  bool classifies() const override { return true; }
};

class UNetClassifier : public Denoiser {
 public:
  UNetClassifier(const Scope& scope, const UNetClassifierOptions& options,
                 const ImageGeometry& image);
  // -> logits (N, image.output_channels)
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels = {},
                    const DropoutSource* dropout = nullptr) const override;

 private:
  UNetEncoder encoder_;
  GroupNorm norm_out_;
  Linear dense_out_;
};

}  // namespace ddpm
