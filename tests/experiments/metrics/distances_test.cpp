// Distances against closed forms, and the statistics of their estimates.
#include "experiments/metrics/distances.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/random/random.h"

namespace ddpm {
namespace {

// Independent normal features; stream `site` is another sample of the same law.
Tensor normal_features(int64_t count, int64_t dimension, uint32_t site) {
  Tensor x = Tensor::empty({count, dimension}, DType::kF32, Device::kCpu);
  fill_normal({7, site, random_counter(0, 0, Device::kCpu)}, x);
  return x;
}

FeatureStatistics gaussian(const std::vector<double>& mean, const std::vector<double>& variance) {
  FeatureStatistics s(
      Tensor::zeros({2, static_cast<int64_t>(mean.size())}, DType::kF32, Device::kCpu));
  s.mean = mean;
  for (size_t i = 0; i < mean.size(); ++i) s.covariance[i * mean.size() + i] = variance[i];
  return s;
}

TEST(FeatureStatistics, MeanAndUnbiasedCovariance) {
  const FeatureStatistics s(
      Tensor::from_host(std::vector<float>{1, 2, 3, 4, 8, 0}, {3, 2}, Device::kCpu));
  EXPECT_EQ(s.count, 3);
  EXPECT_EQ(s.mean, (std::vector<double>{4, 2}));
  EXPECT_EQ(s.covariance, (std::vector<double>{13, -5, -5, 4}));
}

TEST(FeatureStatistics, LargeMeansCostNoPrecision) {
  // One-pass sums of squares of values near 1e6 would lose the variance in f32 and most of it in
  // double; more rows than one piece.
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(1e6F + static_cast<float>(i % 2));
  const FeatureStatistics s(Tensor::from_host(values, {1000, 1}, Device::kCpu));
  EXPECT_DOUBLE_EQ(s.mean[0], 1e6 + 0.5);
  EXPECT_NEAR(s.covariance[0], 250.0 / 999, 1e-12);
}

TEST(FrechetDistance, OfDiagonalGaussiansIsTheSumOverAxes) {
  // sum (m1 - m2)^2 + (s1 - s2)^2
  const double d =
      frechet_distance(gaussian({1, -2, 0}, {4, 0.25, 9}), gaussian({0, 1, 0}, {1, 0.25, 16}));
  EXPECT_NEAR(d, 1 + 9 + 1 + 0 + 1, 1e-12);
}

TEST(FrechetDistance, OfRotatedGaussiansIsThatOfTheUnrotated) {
  // Covariances R diag(9, 1) R^T and R diag(1, 4) R^T commute: (3 - 1)^2 + (1 - 2)^2
  const auto rotated = [](double a, double b) {
    const double c = std::cos(0.6), s = std::sin(0.6);
    FeatureStatistics g = gaussian({0, 0}, {0, 0});
    g.covariance = {a * c * c + b * s * s, (a - b) * c * s, (a - b) * c * s, a * s * s + b * c * c};
    return g;
  };
  EXPECT_NEAR(frechet_distance(rotated(9, 1), rotated(1, 4)), 5, 1e-12);
}

TEST(FrechetDistance, OfCovariancesThatDoNotCommute) {
  // tr (S1^1/2 S2 S1^1/2)^1/2 of 2x2 matrices is sqrt(tr(S1 S2) + 2 sqrt(det S1 det S2)).
  FeatureStatistics a = gaussian({0, 0}, {0, 0}), b = a;
  a.covariance = {2, 0.5, 0.5, 1};
  b.covariance = {1, -0.7, -0.7, 3};
  const double trace = 2 - 0.35 - 0.35 + 3, determinants = 1.75 * 2.51;
  const double expected = 3 + 4 - 2 * std::sqrt(trace + 2 * std::sqrt(determinants));
  EXPECT_NEAR(frechet_distance(a, b), expected, 1e-12);
  EXPECT_NEAR(frechet_distance(b, a), expected, 1e-12);
}

TEST(FrechetDistance, OfIdenticalSetsIsZero) {
  for (const int64_t count : {10, 500}) {  // 10 images of 64 features: a singular covariance
    const FeatureStatistics s(normal_features(count, 64, 1));
    EXPECT_LT(frechet_distance(s, s), 1e-6) << count;
  }
}

TEST(FrechetDistance, OfSingularSetsCountsTheirMeans) {
  // Two points each, in different planes: the first set lies on axis 0, the second on axis 1.
  const auto pair = [](std::vector<float> values) {
    return FeatureStatistics(Tensor::from_host(values, {2, 3}, Device::kCpu));
  };
  // Means (0, 0, 0) and (0, 0, 3); variances 2 along axis 0 against 8 along axis 1.
  EXPECT_NEAR(frechet_distance(pair({1, 0, 0, -1, 0, 0}), pair({0, 2, 3, 0, -2, 3})), 9 + 2 + 8,
              1e-7);  // roots of rounding errors of 1e-16
}

TEST(FrechetDistance, OfEqualLawsFallsLikeOneOverN) {
  // The bias that the header warns of. To first order in 1 / N, at unit covariance on both sides,
  // it is tr (S1 - S2)^2 / 4 = d (d + 1) / (2 N) and 2 d / N from the means; the next order is
  // about one per cent at N = 300.
  constexpr double d = 256;
  for (const int64_t count : {300, 1000}) {
    const double n = static_cast<double>(count), expected = d * (d + 1) / (2 * n) + 2 * d / n;
    const FeatureStatistics a(normal_features(count, 256, 1)), b(normal_features(count, 256, 2));
    EXPECT_NEAR(frechet_distance(a, b), expected, 0.03 * expected) << count;
  }
}

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

TEST(Distances, NeedTwoImages) {
  const Tensor one = normal_features(1, 4, 1);
  EXPECT_THROW(FeatureStatistics{one}, UserError);
  EXPECT_THROW(kernel_distance(one, normal_features(5, 4, 2)), UserError);
}

}  // namespace
}  // namespace ddpm
