// Moments of features and their distance, against closed forms.
#include "experiments/metrics/frechet_distance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/experiments/metrics/normal_features.h"

namespace ddpm {
namespace {

using testing::normal_features;

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

TEST(FeatureAccumulator, IsAFunctionOfTheRowsAlone) {
  const Tensor x = normal_features(700, 70, 1);  // three pieces, two blocks of columns
  const FeatureStatistics whole(x);
  FeatureAccumulator first(70);
  for (int64_t begin = 0; begin < 500; begin += 100) first.add(x.slice(begin, begin + 100));
  FeatureAccumulator second(70);
  second.restore(first.state());
  second.add(x.slice(500, 501));
  second.add(x.slice(501, 700));
  const FeatureStatistics parts = second.statistics();
  EXPECT_EQ(parts.count, 700);
  EXPECT_EQ(parts.mean, whole.mean);
  EXPECT_EQ(parts.covariance, whole.covariance);
  // Against both passes over all rows at once.
  double worst = 0;
  for (int64_t i = 0; i < 70; ++i)
    for (int64_t j = 0; j < 70; ++j) {
      double sum = 0;
      for (int64_t n = 0; n < 700; ++n)
        sum += (x.data<float>()[n * 70 + i] - whole.mean[static_cast<size_t>(i)]) *
               (x.data<float>()[n * 70 + j] - whole.mean[static_cast<size_t>(j)]);
      worst =
          std::max(worst, std::abs(sum / 699 - whole.covariance[static_cast<size_t>(i * 70 + j)]));
    }
  EXPECT_LT(worst, 1e-13);  // sums of 700 terms of size 1 in double
}

TEST(FeatureAccumulator, RefusesTheStateOfAnother) {
  FeatureAccumulator accumulator(4);
  EXPECT_THROW(accumulator.restore(FeatureAccumulator(5).state()), UserError);
  EXPECT_THROW(accumulator.restore(std::vector<double>{1}), UserError);
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

TEST(FrechetDistance, IsSymmetricBetweenSingularAndFullRank) {
  // One side is factored by its eigenvectors, the other by Cholesky's method.
  const FeatureStatistics singular(normal_features(40, 64, 1)), full(normal_features(500, 64, 2));
  const double forth = frechet_distance(singular, full), back = frechet_distance(full, singular);
  EXPECT_NEAR(forth, back, 1e-6 * forth);  // roots of eigenvalues of 1e-15 in the null space
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

TEST(FrechetDistance, HasALimitOnALine) {
  // 3 + 500 / n at every n.
  const std::vector<int64_t> counts = extrapolation_counts(1000, 10);
  ASSERT_EQ(counts.size(), 10U);
  EXPECT_EQ(counts.front(), 100);
  EXPECT_EQ(counts.back(), 1000);
  std::vector<FrechetPoint> points;
  for (const int64_t n : counts) points.push_back({n, 3 + 500.0 / static_cast<double>(n)});
  EXPECT_NEAR(*extrapolate_frechet(points), 3, 1e-12);
  EXPECT_FALSE(extrapolate_frechet({{5, 1.0}}));
  EXPECT_EQ(extrapolation_counts(1000, 100).front(), 200);  // of full rank
  EXPECT_TRUE(extrapolation_counts(399, 100).empty());
}

TEST(FrechetDistance, NeedsTwoImages) {
  EXPECT_THROW(FeatureStatistics{normal_features(1, 4, 1)}, UserError);
}

}  // namespace
}  // namespace ddpm
