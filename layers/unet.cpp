#include "layers/unet.h"

#include <algorithm>

#include "framework/ops/elementwise.h"

namespace ddpm {
namespace {

std::string numbered(const char* name, size_t index) { return fmt::format("{}_{}", name, index); }

void check_fits(const UNetOptions& options, const ImageGeometry& image) {
  const int64_t levels = static_cast<int64_t>(options.channel_multipliers.size());
  const int64_t factor = int64_t{1} << (levels - 1);
  DDPM_CHECK(image.height % factor == 0 && image.width % factor == 0,
             "model: images of {} x {} cannot be halved {} times for the {} levels of "
             "channel_multipliers; height and width must be divisible by {} (data.size pads or "
             "resizes)",
             image.height, image.width, levels - 1, levels, factor);
  for (int64_t multiplier : options.channel_multipliers)
    DDPM_CHECK(options.base_channels * multiplier % options.attention_heads == 0,
               "model: {} channels cannot be divided among {} attention heads",
               options.base_channels * multiplier, options.attention_heads);
  // All other widths are sums of multiples of this one.
  DDPM_CHECK(options.norm_groups == 0 || options.base_channels % options.norm_groups == 0,
             "model: {} channels cannot be divided into {} norm_groups", options.base_channels,
             options.norm_groups);
}

}  // namespace

UNetOptions::UNetOptions(const Config& config) {
  base_channels =
      config.integer("base_channels", base_channels, 2, 4096, "channels at full resolution");
  channel_multipliers = config.integers("channel_multipliers", channel_multipliers, 1, 64,
                                        "width of each level, in base_channels");
  blocks_per_level =
      config.integer("blocks_per_level", blocks_per_level, 1, 32, "residual blocks a level");
  attention_resolutions = config.integers("attention_resolutions", attention_resolutions, 1, 4096,
                                          "feature map heights with attention");
  attention_heads = config.integer("attention_heads", attention_heads, 1, 64, "heads");
  norm_groups = config.integer("norm_groups", norm_groups, 0, 4096,
                               "groups of every norm; 0: 32, fewer for less than 128 channels");
  dropout = config.number("dropout", dropout, 0, 1, "rate in residual blocks", Exclude::kMax);
  const std::string down = config.choice("downsample", "strided_conv",
                                         {"strided_conv", "average_pool"}, "halving of resolution");
  const std::string up =
      config.choice("upsample", "nearest_conv", {"nearest_conv", "transposed_conv"}, "doubling");
  downsample = down == "average_pool" ? DownsampleKind::kAveragePool : DownsampleKind::kStridedConv;
  upsample = up == "transposed_conv" ? UpsampleKind::kTransposedConv : UpsampleKind::kNearestConv;
  if (channel_multipliers.empty() || channel_multipliers.size() > 10)
    config.error("channel_multipliers", "has 1 to 10 levels");
}

std::unique_ptr<Denoiser> UNetOptions::build(const Scope& scope, const ImageGeometry& image) const {
  return std::make_unique<UNet>(scope, *this, image);
}

UNet::UNet(const Scope& scope, const UNetOptions& options, const ImageGeometry& image)
    : image_((check_fits(options, image), image)),
      time_embedding_(scope / "time_embedding", options.base_channels),
      conv_in_(scope / "conv_in", image.channels, options.base_channels) {
  const size_t levels = options.channel_multipliers.size();
  const int64_t embedding = 4 * options.base_channels;
  const int heads = static_cast<int>(options.attention_heads);
  const int64_t groups = options.norm_groups;
  if (image.classes > 0)
    class_embedding_.emplace(scope / "class_embedding", image.classes, embedding);
  const auto make_stage = [&](const Scope& level, size_t index, int64_t height, int64_t in,
                              int64_t out) {
    Stage stage{{level / numbered("block", index), in, out, embedding, options.dropout, groups},
                {}};
    const auto& listed = options.attention_resolutions;
    if (std::find(listed.begin(), listed.end(), height) != listed.end())
      stage.attention.emplace(level / numbered("attention", index), out, heads, groups);
    return stage;
  };

  std::vector<int64_t> skips = {options.base_channels};
  int64_t channels = options.base_channels, height = image.height;
  const size_t blocks = static_cast<size_t>(options.blocks_per_level);
  for (size_t level = 0; level < levels; ++level) {
    const Scope at = scope / numbered("down", level);
    const int64_t width = options.base_channels * options.channel_multipliers[level];
    DownLevel& down = down_.emplace_back();
    for (size_t i = 0; i < blocks; ++i) {
      down.stages.push_back(make_stage(at, i, height, channels, width));
      skips.push_back(channels = width);
    }
    if (level + 1 == levels) continue;
    down.downsample.emplace(at / "downsample", channels, options.downsample);
    skips.push_back(channels);
    height /= 2;
  }

  const Scope middle = scope / "middle";
  middle_0_.emplace(middle / "block_0", channels, channels, embedding, options.dropout, groups);
  middle_attention_.emplace(middle / "attention", channels, heads, groups);
  middle_1_.emplace(middle / "block_1", channels, channels, embedding, options.dropout, groups);

  for (size_t level = levels; level-- > 0;) {
    const Scope at = scope / numbered("up", level);
    const int64_t width = options.base_channels * options.channel_multipliers[level];
    UpLevel& up = up_.emplace_back();
    for (size_t i = 0; i <= blocks; ++i) {
      up.stages.push_back(make_stage(at, i, height, channels + skips.back(), width));
      skips.pop_back();
      channels = width;
    }
    if (level == 0) continue;
    up.upsample.emplace(at / "upsample", channels, options.upsample);
    height *= 2;
  }

  norm_out_.emplace(scope / "norm_out", channels, groups);
  conv_out_.emplace(scope / "conv_out", channels, image.output_channels, /*init_scale=*/0);
}

Tensor UNet::Stage::operator()(const NormInput& x, const Tensor& activated,
                               const DropoutSource* dropout) const {
  const Tensor h = block(x, activated, dropout);
  return attention ? (*attention)(h) : h;
}

Tensor UNet::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                        const DropoutSource* dropout) const {
  const Shape expected{x.shape()[0], image_.height, image_.width, image_.channels};
  DDPM_CHECK(x.shape() == expected, "unet: x {} for a network of images {}", x.shape(), expected);
  DDPM_CHECK(t.shape() == Shape{expected[0]}, "unet: t {} for x {}", t.shape(), x.shape());

  // Images are in the type of the process around the network, which computes in its own.
  const DType compute_type = conv_in_.weight.dtype();
  // Every block applies silu to the embedding before its projection: once is enough.
  const Tensor activated =
      activated_embedding(time_embedding_(t, compute_type), class_embedding_, labels);
  Tensor h = conv_in_(cast(x, compute_type), {.feeds_norm = true});
  std::vector<Tensor> skips = {h};
  for (const DownLevel& level : down_) {
    for (const Stage& stage : level.stages) skips.push_back(h = stage(h, activated, dropout));
    if (level.downsample) skips.push_back(h = (*level.downsample)(h));
  }
  h = (*middle_0_)(h, activated, dropout);
  h = (*middle_attention_)(h);
  h = (*middle_1_)(h, activated, dropout);
  for (const UpLevel& level : up_) {
    for (const Stage& stage : level.stages) {
      h = stage({h, skips.back()}, activated, dropout);
      skips.pop_back();
    }
    if (level.upsample) h = (*level.upsample)(h);
  }
  const Tensor y = cast((*conv_out_)(norm_out_->then_silu(h)), x.dtype());
  DDPM_ASSERT(y.shape() == expected.with_inner(image_.output_channels), "unet made {}", y.shape());
  return y;
}

}  // namespace ddpm
