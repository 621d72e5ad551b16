// The U-Net of DDPM (Ho et al. 2020, appendix B), in whose defaults the paper's CIFAR-10 network
// has 35,746,307 parameters.
//
// Down and middle: unet_encoder.h. Up, from the last level: `blocks_per_level + 1` blocks, each fed
// the current features beside the skip popped from the stack, then an up-sampling except at level
// 0.
#pragma once

#include <vector>

#include "layers/unet_encoder.h"

namespace ddpm {

struct UNetOptions : DenoiserOptions, UNetEncoderOptions {
  UpsampleKind upsample = UpsampleKind::kNearestConv;

  UNetOptions() = default;
  explicit UNetOptions(const Config& config);
  std::unique_ptr<Denoiser> build(const Scope& scope, const ImageGeometry& image) const override;
};

class UNet : public Denoiser {
 public:
  UNet(const Scope& scope, const UNetOptions& options, const ImageGeometry& image);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels = {},
                    const DropoutSource* dropout = nullptr) const override;

 private:
  struct Level {
    std::vector<UNetStage> stages;
    std::optional<Upsample> upsample;
  };

  int64_t output_channels_;
  UNetEncoder encoder_;
  std::vector<Level> up_;  // from the last level to level 0
  std::optional<GroupNorm> norm_out_;
  std::optional<Conv3x3> conv_out_;
};

}  // namespace ddpm
