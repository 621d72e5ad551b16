// The U-Net of DDPM (Ho et al. 2020, appendix B), in whose defaults the paper's CIFAR-10 network
// has 35,746,307 parameters.
//
// Down: per level `blocks_per_level` residual blocks, then a down-sampling except at the last
// level; every result is pushed on a stack of skips, the first convolution's too. Middle: block,
// attention, block. Up, from the last level: `blocks_per_level + 1` blocks, each fed the
// current features beside the skip popped from the stack, then an up-sampling
// except at level 0. Attention follows every block of a level whose feature maps have a height that
// is listed.
#pragma once

#include <vector>

#include "layers/blocks.h"
#include "layers/denoiser.h"

namespace ddpm {

struct UNetOptions : DenoiserOptions {
  int64_t base_channels = 128;
  std::vector<int64_t> channel_multipliers = {1, 2, 2, 2};
  int64_t blocks_per_level = 2;
  std::vector<int64_t> attention_resolutions = {16};  // feature map heights
  int64_t attention_heads = 1;
  int64_t norm_groups = 0;  // of every GroupNorm; 0: default_norm_groups of its channels
  double dropout = 0.1;
  DownsampleKind downsample = DownsampleKind::kStridedConv;
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
  struct Stage {  // one residual block and the attention that may follow it
    ResidualBlock block;
    std::optional<AttentionBlock> attention;
    Tensor operator()(const NormInput& x, const Tensor& activated,
                      const DropoutSource* dropout) const;
  };
  struct DownLevel {
    std::vector<Stage> stages;
    std::optional<Downsample> downsample;
  };
  struct UpLevel {
    std::vector<Stage> stages;
    std::optional<Upsample> upsample;
  };

  ImageGeometry image_;
  TimeEmbedding time_embedding_;
  std::optional<ClassEmbedding> class_embedding_;
  Conv3x3 conv_in_;
  std::vector<DownLevel> down_;
  std::vector<UpLevel> up_;  // from the last level to level 0
  std::optional<ResidualBlock> middle_0_, middle_1_;
  std::optional<AttentionBlock> middle_attention_;
  std::optional<GroupNorm> norm_out_;
  std::optional<Conv3x3> conv_out_;
};

}  // namespace ddpm
