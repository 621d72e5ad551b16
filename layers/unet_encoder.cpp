#include "layers/unet_encoder.h"

#include <algorithm>

#include "framework/ops/elementwise.h"

namespace ddpm {
namespace {

void check_fits(const UNetEncoderOptions& options, const ImageGeometry& image) {
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

UNetEncoderOptions::UNetEncoderOptions(const Config& config) {
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
  downsample = down == "average_pool" ? DownsampleKind::kAveragePool : DownsampleKind::kStridedConv;
  if (channel_multipliers.empty() || channel_multipliers.size() > 10)
    config.error("channel_multipliers", "has 1 to 10 levels");
}

UNetStage::UNetStage(const Scope& level, size_t index, const UNetEncoderOptions& options,
                     int64_t height, int64_t in, int64_t out)
    : block(level / fmt::format("block_{}", index), in, out, 4 * options.base_channels,
            options.dropout, options.norm_groups) {
  const std::vector<int64_t>& listed = options.attention_resolutions;
  if (std::find(listed.begin(), listed.end(), height) != listed.end())
    attention.emplace(level / fmt::format("attention_{}", index), out,
                      static_cast<int>(options.attention_heads), options.norm_groups);
}

Tensor UNetStage::operator()(const NormInput& x, const Tensor& activated,
                             const DropoutSource* dropout) const {
  const Tensor h = block(x, activated, dropout);
  return attention ? (*attention)(h) : h;
}

UNetEncoder::UNetEncoder(const Scope& scope, const UNetEncoderOptions& options,
                         const ImageGeometry& image)
    : image_((check_fits(options, image), image)),
      time_embedding_(scope / "time_embedding", options.base_channels),
      conv_in_(scope / "conv_in", image.channels, options.base_channels),
      skip_channels_{options.base_channels} {
  const int64_t embedding = 4 * options.base_channels;
  if (image.classes > 0)
    class_embedding_.emplace(scope / "class_embedding", image.classes, embedding);

  int64_t height = image.height;
  const size_t levels = options.channel_multipliers.size();
  for (size_t level = 0; level < levels; ++level) {
    const Scope at = scope / fmt::format("down_{}", level);
    const int64_t width = options.base_channels * options.channel_multipliers[level];
    Level& down = levels_.emplace_back();
    for (size_t i = 0; i < static_cast<size_t>(options.blocks_per_level); ++i) {
      down.stages.emplace_back(at, i, options, height, channels(), width);
      skip_channels_.push_back(width);
    }
    if (level + 1 == levels) continue;
    down.downsample.emplace(at / "downsample", channels(), options.downsample);
    skip_channels_.push_back(channels());
    height /= 2;
  }

  const Scope middle = scope / "middle";
  middle_0_.emplace(middle / "block_0", channels(), channels(), embedding, options.dropout,
                    options.norm_groups);
  middle_attention_.emplace(middle / "attention", channels(),
                            static_cast<int>(options.attention_heads), options.norm_groups);
  middle_1_.emplace(middle / "block_1", channels(), channels(), embedding, options.dropout,
                    options.norm_groups);
}

UNetEncoder::Encoded UNetEncoder::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
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
  for (const Level& level : levels_) {
    for (const UNetStage& stage : level.stages) skips.push_back(h = stage(h, activated, dropout));
    if (level.downsample) skips.push_back(h = (*level.downsample)(h));
  }
  h = (*middle_0_)(h, activated, dropout);
  h = (*middle_attention_)(h);
  h = (*middle_1_)(h, activated, dropout);
  return {h, std::move(skips), activated};
}

}  // namespace ddpm
