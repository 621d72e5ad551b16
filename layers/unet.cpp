#include "layers/unet.h"

#include "framework/ops/elementwise.h"

namespace ddpm {

UNetOptions::UNetOptions(const Config& config) : UNetEncoderOptions(config) {
  const std::string up =
      config.choice("upsample", "nearest_conv", {"nearest_conv", "transposed_conv"}, "doubling");
  upsample = up == "transposed_conv" ? UpsampleKind::kTransposedConv : UpsampleKind::kNearestConv;
}

std::unique_ptr<Denoiser> UNetOptions::build(const Scope& scope, const ImageGeometry& image) const {
  return std::make_unique<UNet>(scope, *this, image);
}

UNet::UNet(const Scope& scope, const UNetOptions& options, const ImageGeometry& image)
    : output_channels_(image.output_channels), encoder_(scope, options, image) {
  const size_t levels = options.channel_multipliers.size();
  std::vector<int64_t> skips = encoder_.skip_channels();
  int64_t channels = encoder_.channels(), height = image.height >> (levels - 1);
  for (size_t level = levels; level-- > 0;) {
    const Scope at = scope / fmt::format("up_{}", level);
    const int64_t width = options.base_channels * options.channel_multipliers[level];
    Level& up = up_.emplace_back();
    for (size_t i = 0; i <= static_cast<size_t>(options.blocks_per_level); ++i) {
      up.stages.emplace_back(at, i, options, height, channels + skips.back(), width);
      skips.pop_back();
      channels = width;
    }
    if (level == 0) continue;
    up.upsample.emplace(at / "upsample", channels, options.upsample);
    height *= 2;
  }

  norm_out_.emplace(scope / "norm_out", channels, options.norm_groups);
  conv_out_.emplace(scope / "conv_out", channels, image.output_channels, /*init_scale=*/0);
}

Tensor UNet::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                        const DropoutSource* dropout) const {
  auto [h, skips, activated] = encoder_(x, t, labels, dropout);
  for (const Level& level : up_) {
    for (const UNetStage& stage : level.stages) {
      h = stage({h, skips.back()}, activated, dropout);
      skips.pop_back();
    }
    if (level.upsample) h = (*level.upsample)(h);
  }
  const Tensor y = cast((*conv_out_)(norm_out_->then_silu(h)), x.dtype());
  DDPM_ASSERT(y.shape() == x.shape().with_inner(output_channels_), "unet made {}", y.shape());
  return y;
}

}  // namespace ddpm
