// A UNet2DModel that diffusers saved (tests/golden/make_diffusers_golden.py): our network with its
// weights computes the same, what we write of it is the same file, and what does not fit is named.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "experiments/exchange/diffusers_config.h"
#include "experiments/exchange/diffusers_names.h"
#include "experiments/exchange/diffusers_weights.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/io/npy.h"
#include "framework/io/tensor_file.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string golden(const std::string& name) { return DDPM_TEST_DATA "/unet2d/" + name; }
const char* const kWeights = "diffusion_pytorch_model.safetensors";
constexpr int64_t kLevels = 3;

// The network of the golden config.json with the weights of a file.
struct Network {
  explicit Network(const NamedTensors& file)
      : model(read_unet2d_config(golden("config.json"))),
        unet(model.options.build(Scope(parameters), model.image)) {
    const auto found = find_diffusers(file, diffusers_prefix(file), parameters, kLevels);
    parameters.allocate(DType::kF32, Device::kCpu, 0);
    from_diffusers(found, parameters);
  }
  Parameters parameters;
  Unet2dModel model;
  std::unique_ptr<Denoiser> unet;
};

#if defined(__x86_64__)
constexpr const char* kExact = "direct_avx512";  // without AVX-512 the next direct one runs instead
#else
constexpr const char* kExact = "tap_gemm";
#endif

class Diffusers : public ::testing::TestWithParam<const char*> {
 protected:
  // Others are made of bf16 parts or transformed tiles, and are right to 1e-5 alone.
  void SetUp() override { cpu::force_conv2d_algorithm(kExact); }
  void TearDown() override { cpu::force_conv2d_algorithm(""); }
};

TEST_P(Diffusers, ComputesTheSame) {
  const Network network(read_tensor_file(golden(GetParam())));
  const NamedTensors outputs = read_npz(golden("outputs.npz"));
  const Shape shape{4, 8, 8, 1};
  const auto expected = outputs.at("y", shape, DType::kF64).to_host<double>();
  const auto actual =
      (*network.unet)(outputs.at("x", shape, DType::kF32), outputs.at("t", {4}, DType::kI32))
          .to_host<float>();
  // f32 against f64 for outputs of size 1; measured are 1e-6, and 3e-6 for 35.7 million parameters.
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(static_cast<double>(actual[i]), expected[i], 1e-5) << i;
}

INSTANTIATE_TEST_SUITE_P(Files, Diffusers, ::testing::Values(kWeights, "legacy.bin"));

TEST(DiffusersExport, IsTheFileThatWasImported) {
  const NamedTensors file = read_tensor_file(golden(kWeights));
  const Network network(file);
  const auto written = to_diffusers(network.parameters, kLevels);
  EXPECT_EQ(written.size(), file.all().size());
  for (const auto& [name, values] : written) {
    const Tensor& theirs = file.at(name, values.shape(), DType::kF32);
    EXPECT_EQ(std::memcmp(values.raw(), theirs.raw(), values.bytes()), 0) << name;
  }
  const Json config = unet2d_config(network.model);
  const Json theirs = Json::parse(read_text_file(golden("config.json")));
  for (const auto& [key, value] : config.items()) EXPECT_EQ(value, theirs.at(key)) << key;
  for (const auto& [key, value] : theirs.items())
    EXPECT_TRUE(config.contains(key) || value.is_null() || key == "_diffusers_version") << key;
}

class DiffusersConfig : public testing::TempFolder {
 protected:
  // The golden configuration with some keys replaced.
  Unet2dModel read(const Json& changes) {
    Json config = Json::parse(read_text_file(golden("config.json")));
    config.update(changes);
    write_file_atomically(path("config.json"), config.dump());
    return read_unet2d_config(path("config.json"));
  }
  std::string error(const Json& changes) {
    return error_of([&] { read(changes); });
  }
};

TEST_F(DiffusersConfig, WhatIsNotOursIsNamed) {
  const std::pair<Json, const char*> kCases[] = {
      {{{"flip_sin_to_cos", true}}, "'flip_sin_to_cos' must be false (sines come before cosines)"},
      {{{"freq_shift", 0}}, "'freq_shift' must be 1"},
      {{{"downsample_padding", 1}}, "'downsample_padding' must be 0"},
      {{{"norm_eps", 1e-5}}, "'norm_eps' must be 1e-06 (epsilon of every norm), found 1e-05"},
      {{{"class_embed_type", "timestep"}}, "'class_embed_type' must be null"},
      {{{"_class_name", "UNet2DConditionModel"}}, "'_class_name' must be one of UNet2DModel"},
      {{{"block_out_channels", {4, 6, 8}}}, "must be multiples of the first, 4, by 1 to 64"},
      {{{"down_block_types", {"DownBlock2D", "AttnDownBlock", "DownBlock2D"}}},
       "Did you mean 'AttnDownBlock2D'?"},
      {{{"down_block_types", {"DownBlock2D"}}}, "has 1 types for the 3 levels"},
      {{{"up_block_types", {"AttnUpBlock2D", "UpBlock2D", "UpBlock2D"}}},
       "'up_block_types' must have attention at the same levels as down_block_types"},
      {{{"block_out_channels", {4, 8, 16}}, {"attention_head_dim", 8}},
       "'attention_head_dim' gives 1, 2 heads at different levels"},
      {{{"attention_head_dim", 3}}, "'attention_head_dim' must divide the 8 channels of level 1"},
      {{{"attention_head_dim", "8"}}, "'attention_head_dim' must be null or an integer"},
      {{{"norm_num_groups", 3}}, "'norm_num_groups' must divide"},
      {{{"attn_norm_num_groups", 4}}, "'attn_norm_num_groups' must be null or norm_num_groups"},
      {{{"time_embedding_dim", 64}}, "'time_embedding_dim' must be null or 16"},
      {{{"sample_size", nullptr}}, "'sample_size' must be the side of the images"},
      {{{"sample_size", 6}}, "'sample_size' must be divisible by 4"},
      {{{"layers_per_blok", 2}}, "Did you mean 'layers_per_block'?"},
  };
  for (const auto& [changes, message] : kCases) {
    EXPECT_THAT(error(changes), HasSubstr(message));
    EXPECT_THAT(error(changes), HasSubstr(path("config.json"))) << message;
  }
  // What is not said has diffusers' default, which may not be ours.
  write_file_atomically(path("config.json"),
                        R"({"_class_name": "UNet2DModel", "sample_size": 32})");
  EXPECT_THAT(error_of([&] { read_unet2d_config(path("config.json")); }),
              HasSubstr("'norm_eps' must be 1e-06 (epsilon of every norm), diffusers' default is"));
}

TEST_F(DiffusersConfig, ThereAndBack) {
  const Json kChanges[] = {
      Json::object(),
      {{"sample_size", {16, 8}}, {"in_channels", 3}, {"out_channels", 6}, {"dropout", 0.5}},
      {{"attention_head_dim", nullptr}, {"block_out_channels", {4, 8, 16}}},
      {{"down_block_types", {"DownBlock2D", "DownBlock2D", "DownBlock2D"}},
       {"up_block_types", {"UpBlock2D", "UpBlock2D", "UpBlock2D"}}},
      {{"decay", 0.9999},
       {"optimization_step", 7},
       {"_name_or_path", "x"},
       {"layers_per_block", 3}},
  };
  for (const Json& changes : kChanges) {
    const Unet2dModel model = read(changes);
    const Json config = unet2d_config(model);
    write_file_atomically(path("config.json"), config.dump());
    EXPECT_EQ(unet2d_config(read_unet2d_config(path("config.json"))), config) << changes;
    for (const auto& [key, value] : changes.items())
      EXPECT_EQ(config.value(key, value), value) << key;
  }
}

TEST(DiffusersExport, WhatDiffusersCannotExpressIsNamed) {
  const Unet2dModel good = read_unet2d_config(golden("config.json"));
  const auto error = [&](auto change) {
    Unet2dModel model = good;
    change(model.options);
    return error_of([&] { unet2d_config(model); });
  };
  EXPECT_THAT(error([](UNetOptions& o) { o.downsample = DownsampleKind::kAveragePool; }),
              HasSubstr("model.downsample=average_pool"));
  EXPECT_THAT(error([](UNetOptions& o) { o.channel_multipliers[0] = 2; }),
              HasSubstr("must begin with 1, found 2"));
  EXPECT_THAT(error([](UNetOptions& o) { o.channel_multipliers[2] = 4; }),
              HasSubstr("2 heads at levels of 8 and 16 channels have several"));
}

TEST(DiffusersWeights, TheFirstTensorThatDoesNotFitIsNamed) {
  const NamedTensors good = read_tensor_file(golden(kWeights));
  // The golden file with tensors replaced or, where empty, left out.
  const auto error = [&](const std::vector<NamedTensor>& changes, const std::string& prefix = "") {
    NamedTensors file("f");
    for (const auto& [name, values] : good.all()) {
      const bool changed = std::any_of(changes.begin(), changes.end(),
                                       [&, &n = name](const auto& c) { return c.name == n; });
      if (!changed) file.add(prefix + name, values);
    }
    for (const auto& [name, values] : changes)
      if (values) file.add(name, values);
    return error_of([&] { Network{file}; });
  };
  const auto zeros = [](Shape shape, DType type) {
    return Tensor::zeros(shape, type, Device::kCpu);
  };
  const std::string key = "down_blocks.1.attentions.0.to_k.weight";
  EXPECT_EQ(error({}), "no error");
  EXPECT_EQ(error({}, "model.ema."), "no error");
  EXPECT_EQ(error({{key, {}}}),
            "'f' has no tensor '" + key +
                "' (8, 8), which this network has as 'down_1/attention_0/key/weight'");
  EXPECT_EQ(error({{key, zeros({8, 4}, DType::kF32)}}),
            "'f': '" + key +
                "' has shape (8, 4), this network's 'down_1/attention_0/key/weight' needs (8, 8)");
  EXPECT_EQ(
      error({{key, zeros({8, 8}, DType::kF64)}}),
      "'f': '" + key + "' is f64; weights of f32, f16 and bf16 are taken as they are, no others");
  EXPECT_EQ(error({{key, zeros({8, 8}, DType::kBf16)}}), "no error");
  EXPECT_THAT(error({{"class_embedding.weight", zeros({10, 16}, DType::kF32)}}),
              HasSubstr("'f': 'class_embedding.weight' (10, 16) has no place in this network of"));
  EXPECT_THAT(error({{"conv_in.weight", {}}}), HasSubstr("'f' holds no UNet2DModel of diffusers"));
  EXPECT_EQ(error({{"ema.conv_in.weight", zeros({1}, DType::kF32)}}),
            "'f' holds several networks; name one with --prefix: '', 'ema.'");
}

// bf16 is widened, kernels change their layout.
TEST(DiffusersWeights, Values) {
  Parameters parameters;
  const Scope scope = Scope(parameters) / "conv_in";
  scope.parameter("weight", {2, 3, 3, 4}, Init::constant(0));
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  const int64_t count = 2 * 4 * 3 * 3;
  std::vector<bf16> values;
  for (int64_t i = 0; i < count; ++i) values.emplace_back(static_cast<float>(i));
  NamedTensors file("f");
  file.add("conv_in.weight", Tensor::from_host(values, {2, 4, 3, 3}, Device::kCpu));
  from_diffusers(find_diffusers(file, "", parameters, 1), parameters);
  const auto ours = parameters.slots()[0].tensor.to_host<float>();
  for (int64_t k = 0; k < 2; ++k)
    for (int64_t rs = 0; rs < 9; ++rs)
      for (int64_t c = 0; c < 4; ++c)
        EXPECT_EQ(ours[static_cast<size_t>((k * 9 + rs) * 4 + c)],
                  static_cast<float>((k * 4 + c) * 9 + rs));
}

TEST(DiffusersNames, OfEveryKind) {
  const auto name = [](const char* path) { return diffusers_name(path, 4).current; };
  EXPECT_EQ(name("time_embedding/dense_1/bias"), "time_embedding.linear_2.bias");
  EXPECT_EQ(name("down_3/block_1/time_projection/weight"),
            "down_blocks.3.resnets.1.time_emb_proj.weight");
  EXPECT_EQ(name("up_3/block_2/shortcut/weight"), "up_blocks.0.resnets.2.conv_shortcut.weight");
  EXPECT_EQ(name("up_1/upsample/weight"), "up_blocks.2.upsamplers.0.conv.weight");
  EXPECT_EQ(name("middle/attention/output/bias"), "mid_block.attentions.0.to_out.0.bias");
  EXPECT_EQ(diffusers_name("middle/attention/output/bias", 4).legacy,
            "mid_block.attentions.0.proj_attn.bias");
}

}  // namespace
}  // namespace ddpm
