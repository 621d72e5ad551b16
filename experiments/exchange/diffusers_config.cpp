#include "experiments/exchange/diffusers_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/config/config.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char *kDown = "DownBlock2D", *kAttentionDown = "AttnDownBlock2D";
constexpr const char *kUp = "UpBlock2D", *kAttentionUp = "AttnUpBlock2D";
constexpr size_t kMaxLevels = 10;

// What has one value in every network of ours: that of google/ddpm-cifar10-32.
struct Fixed {
  const char* key;
  Json theirs;  // diffusers' default
  Json ours;
  const char* means;
};
const std::vector<Fixed>& fixed_keys() {
  static const std::vector<Fixed> keys = {
      {"center_input_sample", false, false, "images are in [-1, 1] already"},
      {"time_embedding_type", "positional", "positional", "sinusoids of the timestep"},
      {"freq_shift", 0, 1, "frequencies 10000^(-i / (half - 1))"},
      {"flip_sin_to_cos", true, false, "sines come before cosines"},
      {"mid_block_type", "UNetMidBlock2D", "UNetMidBlock2D", "block, attention, block"},
      {"mid_block_scale_factor", 1, 1, "residuals are not rescaled"},
      {"downsample_padding", 1, 0, "padding below and on the right alone"},
      {"downsample_type", "conv", "conv", "strided convolutions"},
      {"upsample_type", "conv", "conv", "nearest neighbour and a convolution"},
      {"act_fn", "silu", "silu", "silu everywhere"},
      {"norm_eps", 1e-5, 1e-6, "epsilon of every norm"},
      {"resnet_time_scale_shift", "default", "default",
       "the embedding is added, it scales nothing"},
      {"add_attention", true, true, "attention in the middle"},
      {"class_embed_type", nullptr, nullptr, "no classes"},
      {"num_class_embeds", nullptr, nullptr, "no classes"},
  };
  return keys;
}

// What changes nothing that is computed.
bool is_remark(const std::string& key) {
  static const std::set<std::string> of_ema_model = {
      "decay", "inv_gamma",         "min_decay",     "optimization_step",
      "power", "update_after_step", "use_ema_warmup"};
  return key.starts_with("_") || key == "num_train_timesteps" || of_ema_model.contains(key);
}

// A positive integer, or `otherwise` for null.
int64_t optional_integer(const Config& c, const char* key, const Json& default_value,
                         int64_t otherwise) {
  const Json value = c.json(key, default_value, "");
  if (value.is_null()) return otherwise;
  constexpr int64_t kMax = 1 << 20;
  if (value.is_number_integer() && value >= 1 && value <= kMax) return value.get<int64_t>();
  c.error(key, fmt::format("must be null or an integer in [1, {}], found {}", kMax, value.dump()));
  return otherwise;
}

void read_sample_size(const Config& c, ImageGeometry& image) {
  const Json size = c.json("sample_size", nullptr, "");
  const auto is_side = [](const Json& v) {
    return v.is_number_integer() && v >= 1 && v <= (1 << 16);
  };
  image.height = image.width = 1;
  if (is_side(size))
    image.height = image.width = size.get<int64_t>();
  else if (size.is_array() && size.size() == 2 && is_side(size[0]) && is_side(size[1]))
    image.height = size[0].get<int64_t>(), image.width = size[1].get<int64_t>();
  else
    c.error("sample_size", "must be the side of the images or [height, width]");
}

// Whether each level has attention, down and up alike.
std::vector<bool> read_levels(const Config& c, size_t levels) {
  const std::vector<std::string> d{kDown, kAttentionDown, kAttentionDown, kAttentionDown},
      u{kAttentionUp, kAttentionUp, kAttentionUp, kUp};
  const auto down = c.strings("down_block_types", d, "", {kDown, kAttentionDown});
  const auto up = c.strings("up_block_types", u, "", {kUp, kAttentionUp});
  std::vector<bool> attends(levels);
  for (const auto& [key, types] : {std::pair("down_block_types", &down), {"up_block_types", &up}})
    if (types->size() != levels)
      c.error(key, fmt::format("has {} types for the {} levels of block_out_channels",
                               types->size(), levels));
  if (down.size() != levels || up.size() != levels) return attends;
  for (size_t i = 0; i < levels; ++i) {
    attends[i] = down[i] == kAttentionDown;
    if (attends[i] != (up[levels - 1 - i] == kAttentionUp))
      c.error("up_block_types", fmt::format("must have attention at the same levels as "
                                            "down_block_types, not so at level {}",
                                            i));
  }
  return attends;
}

// The number of heads, which is the same at every level of ours; they have the same width there.
int64_t read_heads(const Config& c, const UNetOptions& options, const std::vector<bool>& attends) {
  const int64_t width = optional_integer(c, "attention_head_dim", 8, 0);
  if (width == 0) return 1;
  const int64_t levels = static_cast<int64_t>(attends.size());
  std::set<int64_t> heads;
  for (int64_t i = 0; i < levels; ++i) {
    const auto level = static_cast<size_t>(i);
    if (!attends[level] && i + 1 < levels) continue;  // the middle has the width of the last
    const int64_t channels = options.base_channels * options.channel_multipliers[level];
    if (channels % width != 0)
      c.error("attention_head_dim",
              fmt::format("must divide the {} channels of level {}", channels, i));
    heads.insert(std::max<int64_t>(channels / width, 1));
  }
  if (heads.size() > 1)
    c.error("attention_head_dim",
            fmt::format("gives {} heads at different levels; a network of ours has as many at each",
                        fmt::join(heads, ", ")));
  return *heads.begin();
}

void read_widths(const Config& c, UNetOptions& options) {
  const auto widths =
      c.integers("block_out_channels", std::vector<int64_t>{224, 448, 672, 896}, 2, 1 << 18, "");
  options.channel_multipliers = {1};
  if (widths.empty() || widths.size() > kMaxLevels)
    return c.error("block_out_channels", fmt::format("must have 1 to {} levels", kMaxLevels));
  options.base_channels = widths[0];
  options.channel_multipliers.clear();
  for (const int64_t width : widths) {
    options.channel_multipliers.push_back(std::max<int64_t>(width / widths[0], 1));
    if (width % widths[0] != 0 || width / widths[0] > 64)
      c.error("block_out_channels",
              fmt::format("must be multiples of the first, {}, by 1 to 64, found {}", widths[0],
                          width));
  }
}

}  // namespace

Unet2dModel read_unet2d_config(const std::string& path) {
  const Config c(ConfigSource::parse_file(path));
  Unet2dModel model;
  UNetOptions& options = model.options;
  c.choice("_class_name", required, {"UNet2DModel"}, "");
  for (const Fixed& fixed : fixed_keys()) {
    const Json value = c.json(fixed.key, fixed.theirs, "");
    if (value != fixed.ours)
      c.error(fixed.key,
              fmt::format("must be {} ({}), {} {}", fixed.ours.dump(), fixed.means,
                          c.has(fixed.key) ? "found" : "diffusers' default is", value.dump()));
  }
  for (const std::string& key : c.keys())
    if (is_remark(key) && key != "_class_name") c.json(key, nullptr, "");

  read_sample_size(c, model.image);
  model.image.channels = c.integer("in_channels", 3, 1, 4096, "");
  model.image.output_channels = c.integer("out_channels", 3, 1, 8192, "");
  read_widths(c, options);
  const int64_t divisor = int64_t{1} << (options.channel_multipliers.size() - 1);
  if (model.image.height % divisor != 0 || model.image.width % divisor != 0)
    c.error("sample_size", fmt::format("must be divisible by {} to be halved between {} levels",
                                       divisor, options.channel_multipliers.size()));
  options.blocks_per_level = c.integer("layers_per_block", 2, 1, 32, "");
  options.dropout = c.number("dropout", 0, 0, 1, "", Exclude::kMax);
  const std::vector<bool> attends = read_levels(c, options.channel_multipliers.size());
  options.attention_heads = read_heads(c, options, attends);
  options.attention_resolutions.clear();
  for (size_t i = 0; i < attends.size(); ++i)
    if (attends[i]) options.attention_resolutions.push_back(model.image.height >> i);

  options.norm_groups = c.integer("norm_num_groups", 32, 1, 4096, "");
  if (options.base_channels % options.norm_groups != 0)
    c.error("norm_num_groups",
            fmt::format("must divide the first {} of block_out_channels", options.base_channels));
  if (optional_integer(c, "attn_norm_num_groups", nullptr, options.norm_groups) !=
      options.norm_groups)
    c.error("attn_norm_num_groups", "must be null or norm_num_groups");
  const int64_t embedding = 4 * options.base_channels;
  if (optional_integer(c, "time_embedding_dim", nullptr, embedding) != embedding)
    c.error("time_embedding_dim", fmt::format("must be null or {}, four times the first of "
                                              "block_out_channels",
                                              embedding));
  c.finish();
  return model;
}

Json unet2d_config(const Unet2dModel& model) {
  const auto& [options, image] = model;
  DDPM_CHECK(options.downsample == DownsampleKind::kStridedConv &&
                 options.upsample == UpsampleKind::kNearestConv,
             "UNet2DModel of diffusers has neither model.downsample=average_pool nor "
             "model.upsample=transposed_conv");
  DDPM_CHECK(options.channel_multipliers[0] == 1,
             "UNet2DModel of diffusers begins with the width of its first level: "
             "model.channel_multipliers must begin with 1, found {}",
             options.channel_multipliers[0]);
  Json config = {{"_class_name", "UNet2DModel"}};
  if (image.height == image.width)
    config["sample_size"] = image.height;
  else
    config["sample_size"] = {image.height, image.width};
  config["in_channels"] = image.channels;
  config["out_channels"] = image.output_channels;
  for (const Fixed& fixed : fixed_keys()) config[fixed.key] = fixed.ours;

  Json down = Json::array(), up = Json::array(), widths = Json::array();
  std::set<int64_t> attending;  // channels
  const auto& listed = options.attention_resolutions;
  const size_t levels = options.channel_multipliers.size();
  for (size_t i = 0; i < levels; ++i) {
    const bool attends = std::find(listed.begin(), listed.end(), image.height >> i) != listed.end();
    widths.push_back(options.base_channels * options.channel_multipliers[i]);
    down.push_back(attends ? kAttentionDown : kDown);
    up.insert(up.begin(), attends ? kAttentionUp : kUp);
    if (attends || i + 1 == levels) attending.insert(widths[i].get<int64_t>());
  }
  config["block_out_channels"] = widths;
  config["layers_per_block"] = options.blocks_per_level;
  config["down_block_types"] = down;
  config["up_block_types"] = up;
  DDPM_CHECK(options.attention_heads == 1 || attending.size() == 1,
             "UNet2DModel of diffusers has heads of one width: {} heads at levels of {} channels "
             "have several",
             options.attention_heads, fmt::join(attending, " and "));
  config["attention_head_dim"] = nullptr;  // one head, whatever its width
  if (options.attention_heads > 1)
    config["attention_head_dim"] = *attending.begin() / options.attention_heads;
  DDPM_CHECK(options.norm_groups > 0, "the number of groups of the norms is not given");
  config["norm_num_groups"] = options.norm_groups;
  config["attn_norm_num_groups"] = nullptr;
  config["dropout"] = options.dropout;
  return config;
}

Json model_config(const UNetOptions& options) {
  return {{"name", "unet"},
          {"base_channels", options.base_channels},
          {"channel_multipliers", options.channel_multipliers},
          {"blocks_per_level", options.blocks_per_level},
          {"attention_resolutions", options.attention_resolutions},
          {"attention_heads", options.attention_heads},
          {"norm_groups", options.norm_groups},
          {"dropout", options.dropout},
          {"downsample", "strided_conv"},
          {"upsample", "nearest_conv"}};
}

}  // namespace ddpm
