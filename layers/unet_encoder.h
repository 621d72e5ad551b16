// The first half of the U-Net of DDPM (Ho et al. 2020, appendix B): what the network is told, the
// way down and the middle. The network itself goes up again (unet.h), a classifier of noisy images
// stops here (unet_classifier.h).
//
// Per level `blocks_per_level` residual blocks, then a down-sampling except at the last level;
// every result is pushed on a stack of skips, the first convolution's too. Middle: block,
// attention, block. Attention follows every block of a level whose feature maps have a height that
// is listed.
#pragma once

#include <optional>
#include <vector>

#include "layers/blocks.h"
#include "layers/denoiser.h"

namespace ddpm {

struct UNetEncoderOptions {
  int64_t base_channels = 128;
  std::vector<int64_t> channel_multipliers = {1, 2, 2, 2};
  int64_t blocks_per_level = 2;
  std::vector<int64_t> attention_resolutions = {16};  // feature map heights
  int64_t attention_heads = 1;
  int64_t norm_groups = 0;  // of every GroupNorm; 0: default_norm_groups of its channels
  double dropout = 0.1;
  DownsampleKind downsample = DownsampleKind::kStridedConv;

  UNetEncoderOptions() = default;
  explicit UNetEncoderOptions(const Config& config);
};

// A residual block of a level and the attention that may follow it.
struct UNetStage {
  UNetStage(const Scope& level, size_t index, const UNetEncoderOptions& options, int64_t height,
            int64_t in, int64_t out);
  Tensor operator()(const NormInput& x, const Tensor& activated,
                    const DropoutSource* dropout) const;

  ResidualBlock block;
  std::optional<AttentionBlock> attention;
};

class UNetEncoder {
 public:
  // Throws a UserError when the images do not fit the options.
  UNetEncoder(const Scope& scope, const UNetEncoderOptions& options, const ImageGeometry& image);

  struct Encoded {
    Tensor h;                   // (N, H', W', channels) after the middle, in the compute type
    std::vector<Tensor> skips;  // the last one pushed last
    Tensor activated;           // (N, 4 base_channels): silu of the embedding of t and class
  };
  // x (N, H, W, C), t (N) i32 or f64, labels (N) i32 where classes are known.
  Encoded operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                     const DropoutSource* dropout) const;

  int64_t channels() const { return skip_channels_.back(); }  // after the middle, too
  const std::vector<int64_t>& skip_channels() const { return skip_channels_; }

 private:
  struct Level {
    std::vector<UNetStage> stages;
    std::optional<Downsample> downsample;
  };

  ImageGeometry image_;
  TimeEmbedding time_embedding_;
  Conv3x3 conv_in_;
  std::optional<ClassEmbedding> class_embedding_;
  std::vector<int64_t> skip_channels_;
  std::vector<Level> levels_;
  std::optional<ResidualBlock> middle_0_, middle_1_;
  std::optional<AttentionBlock> middle_attention_;
};

}  // namespace ddpm
