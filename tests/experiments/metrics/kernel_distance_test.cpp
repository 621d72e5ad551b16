// The kernel distance against its definition, and the statistics of its estimates.
#include "experiments/metrics/kernel_distance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/experiments/metrics/normal_features.h"

namespace ddpm {
namespace {

using testing::normal_features;

TEST(KernelDistance, OfTwoPointsEach) {
  // d = 1: x = {0, 1}, y = {2, 3}. k(0, 1) = 1, k(2, 3) = 343; across 1, 1, 27, 64.
  const auto points = [](float a, float b) {
    return Tensor::from_host(std::vector<float>{a, b}, {2, 1}, Device::kCpu);
  };
  const KernelDistance d = kernel_distance(points(0, 1), points(2, 3), {.subsets = 3});
  EXPECT_NEAR(d.mean, 1 + 343 - 2 * (1 + 1 + 27 + 64) / 4.0, 1e-12);
  EXPECT_NEAR(d.std, 0, 1e-12);  // every subset is the whole set
  EXPECT_EQ(d.subset_size, 2);
}

TEST(KernelDistance, HasMeanZeroForEqualLawsAndGrowsWithAShift) {
  const Tensor x = normal_features(2000, 8, 1), y = normal_features(2000, 8, 2);
  const KernelDistanceOptions options{.subsets = 50, .subset_size = 200};
  const KernelDistance equal = kernel_distance(x, y, options);
  EXPECT_EQ(equal.subset_size, 200);
  EXPECT_GT(equal.std, 0);
  // Subsets overlap: of 2,000 rows at most ten are independent.
  EXPECT_LT(std::abs(equal.mean), 5 * equal.std / std::sqrt(10.0));
  Tensor shifted = Tensor::like(y);
  for (int64_t i = 0; i < y.numel(); ++i) shifted.data<float>()[i] = y.data<float>()[i] + 1;
  // With z = x.y / d, E (z + 1)^3 is 1 + 3 / d within x, 8 + 18 / d + 6 / d^2 within the shifted
  // set and 1 + 6 / d across.
  const KernelDistance moved = kernel_distance(x, shifted, options);
  EXPECT_NEAR(moved.mean, 7 + 9.0 / 8 + 6.0 / 64, 5 * moved.std / std::sqrt(10.0));
}

TEST(KernelDistance, IsAFunctionOfItsSeed) {
  const Tensor x = normal_features(100, 4, 1), y = normal_features(120, 4, 2);
  const auto mean = [&](uint64_t seed) {
    return kernel_distance(x, y, {.subsets = 5, .subset_size = 20, .seed = seed}).mean;
  };
  EXPECT_EQ(mean(3), mean(3));
  EXPECT_NE(mean(3), mean(4));
}

TEST(KernelDistance, NeedsTwoImages) {
  EXPECT_THROW(kernel_distance(normal_features(1, 4, 1), normal_features(5, 4, 2)), UserError);
}

}  // namespace
}  // namespace ddpm
