// The U-Net's size, names, shapes and refusals. unet_golden_test.cpp checks its values.
#include "layers/unet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

int64_t count(const UNetOptions& options, const ImageGeometry& image) {
  Parameters parameters;
  options.build(Scope(parameters), image);
  return parameters.count();  // nothing is allocated
}

TEST(UNet, HasThePapersParameterCounts) {
  UNetOptions cifar10;
  EXPECT_EQ(count(cifar10, {32, 32, 3, 3}), 35'746'307);
  EXPECT_EQ(count(cifar10, {32, 32, 3, 6}), 35'749'766);  // learned variance
  UNetOptions lsun;
  lsun.channel_multipliers = {1, 1, 2, 2, 4, 4};
  EXPECT_EQ(count(lsun, {256, 256, 3, 3}), 113'673'219);
  lsun.base_channels = 192;
  EXPECT_EQ(count(lsun, {256, 256, 3, 3}), 255'677'955);
}

TEST(UNet, NamesParametersByPlace) {
  Parameters parameters;
  UNetOptions().build(Scope(parameters), {32, 32, 3, 3});
  std::vector<std::string> paths;
  for (const auto& slot : parameters.slots()) paths.push_back(slot.path);
  EXPECT_EQ(paths.front(), "time_embedding/dense_0/weight");
  EXPECT_EQ(paths.back(), "conv_out/bias");
  EXPECT_THAT(paths, ::testing::IsSupersetOf(
                         {"down_0/downsample/weight", "down_1/attention_1/query/bias",
                          "middle/block_0/conv_2/weight", "up_1/block_2/shortcut/weight",
                          "up_0/block_0/norm_1/bias", "up_3/upsample/bias"}));
}

struct TinyUNet {
  explicit TinyUNet(ImageGeometry image, double dropout = 0) {
    UNetOptions options;
    options.base_channels = 8;
    options.channel_multipliers = {1, 2};
    options.blocks_per_level = 1;
    options.attention_resolutions = {4};
    options.dropout = dropout;
    network = options.build(Scope(parameters), image);
    parameters.allocate(DType::kF32, Device::kCpu, 7);
    parameters.allocate_training(1);
  }
  Parameters parameters;
  std::unique_ptr<Denoiser> network;
};

TEST(UNet, StartsNearlyAtZero) {
  // The last convolution starts at 1e-10, so the first predictions are nearly zero: the first loss
  // of epsilon-prediction is the variance of the noise, 1.
  TinyUNet tiny({8, 12, 4, 4});
  const Tensor x = full({2, 8, 12, 4}, 0.5, DType::kF32, Device::kCpu);
  const Tensor t = Tensor::from_host<int32_t>({0, 999}, {2}, Device::kCpu);
  for (float y : (*tiny.network)(x, t).to_host<float>()) {
    EXPECT_LT(std::abs(y), 1e-3f);
    EXPECT_NE(y, 0);
  }
}

TEST(UNet, DropoutActsOnlyInTrainingAndChangesWithTheStep) {
  TinyUNet tiny({8, 8, 1, 1}, 0.5);
  Tensor x = Tensor::empty({2, 8, 8, 1}, DType::kF32, Device::kCpu);
  fill_normal({3, 1, random_counter(0, 0, Device::kCpu)}, x);
  const Tensor t = Tensor::from_host<int32_t>({5, 700}, {2}, Device::kCpu);
  const auto run = [&](int64_t step) {
    const DropoutSource source{11, random_counter(step, 0, Device::kCpu)};
    return (*tiny.network)(x, t, {}, step < 0 ? nullptr : &source).to_host<float>();
  };
  EXPECT_EQ(run(-1), run(-1));
  EXPECT_EQ(run(4), run(4));
  EXPECT_NE(run(4), run(5));
  EXPECT_NE(run(4), run(-1));
}

TEST(UNet, EveryParameterReceivesAGradient) {
  TinyUNet tiny({8, 8, 3, 3});
  Tensor x = Tensor::empty({2, 8, 8, 3}, DType::kF32, Device::kCpu);
  fill_normal({3, 1, random_counter(0, 0, Device::kCpu)}, x);
  const Tensor t = Tensor::from_host<int32_t>({5, 700}, {2}, Device::kCpu);
  tiny.parameters.begin_gradients();
  Tape tape;
  const Tensor y = (*tiny.network)(x, t);
  tape.backward(sum(multiply(y, x)));
  for (const auto& slot : tiny.parameters.slots())
    EXPECT_TRUE(slot.tensor.grad().shares_storage(slot.tensor.slot()->bound)) << slot.path;
}

TEST(UNet, RefusesImagesItCannotHalve) {
  Parameters parameters;
  try {
    UNetOptions().build(Scope(parameters), {28, 30, 1, 1});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("images of 28 x 30 cannot be halved 3 times"));
  }
}

TEST(UNet, NormGroupsMustDivideTheChannels) {
  UNetOptions options;
  options.base_channels = 12;
  options.channel_multipliers = {1, 2};
  const auto build = [&](int64_t groups) {
    options.norm_groups = groups;
    Parameters parameters;
    options.build(Scope(parameters), {8, 8, 1, 1});
  };
  EXPECT_NO_THROW(build(6));
  try {
    build(8);
    FAIL() << "12 channels in 8 groups";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "model: 12 channels cannot be divided into 8 norm_groups");
  }
}

// One norm, by its own number and by the rule.
TEST(GroupNorm, GroupsAreTheRulesUnlessGiven) {
  Parameters parameters;
  const Scope scope(parameters);
  EXPECT_EQ(GroupNorm(scope / "a", 256).groups, 32);
  EXPECT_EQ(GroupNorm(scope / "b", 24).groups, 6);
  EXPECT_EQ(GroupNorm(scope / "c", 24, 2).groups, 2);
}

TEST(UNet, RefusesOtherShapes) {
  TinyUNet tiny({8, 8, 1, 1});
  const Tensor t = Tensor::from_host<int32_t>({5}, {1}, Device::kCpu);
  EXPECT_THROW((*tiny.network)(full({1, 8, 4, 1}, 0, DType::kF32, Device::kCpu), t), UserError);
  EXPECT_THROW((*tiny.network)(full({2, 8, 8, 1}, 0, DType::kF32, Device::kCpu), t), UserError);
}

}  // namespace
}  // namespace ddpm
