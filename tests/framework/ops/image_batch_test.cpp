// gather_images is data movement without a gradient: checked directly.
#include "framework/ops/image_batch.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ddpm {
namespace {

TEST(GatherImages, MapsLevelsToMinusOneOneAndMirrorsRows) {
  // Two 1x3 images with two channels, 17 levels.
  const Tensor images = Tensor::from_host<uint8_t>({0, 16, 8, 4, 12, 2, 1, 2, 3, 4, 5, 6},
                                                   {2, 1, 3, 2}, Device::kCpu);
  const Tensor indices = Tensor::from_host<int32_t>({1, 0, 0}, {3}, Device::kCpu);
  const Tensor flip = Tensor::from_host<int32_t>({0, 0, 1}, {3}, Device::kCpu);
  const Tensor y = gather_images(images, indices, flip, 17, DType::kF64);
  EXPECT_EQ(y.shape(), (Shape{3, 1, 3, 2}));
  const std::vector<double> expected = {-0.875, -0.75, -0.625, -0.5, -0.375, -0.25, -1,   1,  0,
                                        -0.5,   0.5,   -0.75,  0.5,  -0.75,  0,     -0.5, -1, 1};
  EXPECT_EQ(y.to_host<double>(), expected);
}

TEST(GatherImages, TakesContinuousDataAsTheyAre) {
  const Tensor points = Tensor::from_host<float>({1.5f, -2, 0.25f, 4}, {2, 1, 1, 2}, Device::kCpu);
  const Tensor indices = Tensor::from_host<int32_t>({1}, {1}, Device::kCpu);
  EXPECT_EQ(gather_images(points, indices, {}, 0, DType::kF32).to_host<float>(),
            (std::vector<float>{0.25f, 4}));
}

TEST(GatherImages, RefusesImagesWithoutLevels) {
  const Tensor images = Tensor::zeros({2, 1, 1, 1}, DType::kU8, Device::kCpu);
  const Tensor indices = Tensor::from_host<int32_t>({1}, {1}, Device::kCpu);
  EXPECT_THROW(gather_images(images, indices, {}, 0, DType::kF32), UserError);
}

TEST(GatherLabels, PicksByIndex) {
  const Tensor labels = Tensor::from_host<int32_t>({7, 8, 9}, {3}, Device::kCpu);
  const Tensor indices = Tensor::from_host<int32_t>({2, 0}, {2}, Device::kCpu);
  EXPECT_EQ(gather_labels(labels, indices).to_host<int32_t>(), (std::vector<int32_t>{9, 7}));
}

TEST(WithholdLabels, WithholdsTheShareAndIsAFunctionOfTheRow) {
  constexpr int64_t kCount = 40000, kCut = 1234;
  const Tensor labels = Tensor::from_host(std::vector<int32_t>(kCount, 3), {kCount}, Device::kCpu);
  const auto withheld = [&](int64_t first, int64_t count) {
    const RandomStream stream{5, 17, random_counter(2, first, Device::kCpu)};
    return withhold_labels(labels.slice(first, first + count), 0.1, 10, stream).to_host<int32_t>();
  };
  std::vector<int32_t> all = withheld(0, kCount);
  const auto others = std::count(all.begin(), all.end(), 10);
  EXPECT_EQ(others + std::count(all.begin(), all.end(), 3), kCount);
  EXPECT_NEAR(static_cast<double>(others), 4000, 240);  // four binomial deviations of 60
  const std::vector<int32_t> rest = withheld(kCut, kCount - kCut);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), all.begin() + kCut));
}

TEST(WithholdLabels, OfRateZeroAndOneAreNoneAndAll) {
  const Tensor labels = Tensor::from_host<int32_t>({0, 1, 2}, {3}, Device::kCpu);
  const RandomStream stream{1, 1, random_counter(0, 0, Device::kCpu)};
  EXPECT_EQ(withhold_labels(labels, 0, 9, stream).to_host<int32_t>(),
            (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(withhold_labels(labels, 1, 9, stream).to_host<int32_t>(),
            (std::vector<int32_t>{9, 9, 9}));
  EXPECT_THROW(withhold_labels(labels, 1.5, 9, stream), UserError);
}

}  // namespace
}  // namespace ddpm
