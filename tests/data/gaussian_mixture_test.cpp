// Densities and scores against closed forms and finite differences, samples against the moments of
// the law they were drawn from.
#include "data/gaussian_mixture.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;

// Unequal in everything, so that an exchanged index shows.
GaussianMixture uneven() {
  return {.weights = {0.2, 0.5, 0.3},
          .means = {-1, 0.5, 0, 1, 2, -0.5, 0.25, -2, 1},
          .variances = {0.5, 1, 2, 0.25, 0.75, 1.5, 1, 0.3, 0.6}};
}

TEST(GaussianMixture, DensityOfOneComponentIsTheNormalDensity) {
  const GaussianMixture m{{1}, {1, -2}, {4, 0.25}};
  const double x[] = {2, -1.5};
  // r^2 / v is 1/4 and 1; the deviations are 2 and 1/2, whose logarithms cancel.
  const double expected = -0.5 * (0.25 + 1) - std::log(2 * std::numbers::pi);
  EXPECT_NEAR(m.log_density(x), expected, 1e-14);
  EXPECT_THAT(m.score(x), ElementsAre(-(2 - 1) / 4.0, -(-1.5 + 2) / 0.25));
}

TEST(GaussianMixture, DensityIntegratesToOne) {
  const GaussianMixture m{{0.3, 0.7}, {-1, 2}, {0.09, 0.5}};
  // The trapezoidal rule converges exponentially on a smooth function that vanishes at both ends.
  const double step = 0.01;
  double sum = 0;
  for (double x = -10; x < 12; x += step) sum += std::exp(m.log_density({&x, 1})) * step;
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(GaussianMixture, ScoreIsTheGradientOfTheLogDensity) {
  const GaussianMixture m = uneven();
  for (const std::vector<double>& x :
       {std::vector<double>{0.1, 0.2, 0.3}, {-1, 0.5, 0}, {3, -3, 2}}) {
    const std::vector<double> score = m.score(x);
    for (size_t d = 0; d < x.size(); ++d) {
      // Central differences: truncation h^2 = 1e-10, rounding 1e-16 / h = 1e-11.
      const double h = 1e-5;
      std::vector<double> above = x, below = x;
      above[d] += h;
      below[d] -= h;
      EXPECT_NEAR(score[d], (m.log_density(above) - m.log_density(below)) / (2 * h), 1e-8);
    }
  }
}

TEST(GaussianMixture, StaysFiniteFarAway) {
  const GaussianMixture m = uneven();
  const double x[] = {1e4, 1e4, 1e4};
  EXPECT_TRUE(std::isfinite(m.log_density(x)));
  double sum = 0;
  for (double r : m.responsibilities(x)) sum += r;
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(GaussianMixture, ResponsibilitiesAreBayesRule) {
  const GaussianMixture m{{0.25, 0.75}, {0, 2}, {1, 1}};
  const double midpoint = 1;  // both densities are equal here: the prior is left
  EXPECT_NEAR(m.responsibilities({&midpoint, 1})[0], 0.25, 1e-15);
}

// The density of signal * x + noise * eps is the convolution of the scaled density with a normal.
TEST(GaussianMixture, DiffusedIsAConvolution) {
  const GaussianMixture m{{0.3, 0.7}, {-1, 1.5}, {0.2, 0.4}};
  const double signal = 0.8, noise = 0.6, y = 0.35, step = 0.005;
  double density = 0;
  for (double x = -8; x < 8; x += step) {
    const double r = (y - signal * x) / noise;
    density += std::exp(m.log_density({&x, 1}) - 0.5 * r * r) * step;
  }
  density /= noise * std::sqrt(2 * std::numbers::pi);
  EXPECT_NEAR(m.diffused(signal, noise).log_density({&y, 1}), std::log(density), 1e-12);
}

TEST(GaussianMixture, SamplesHaveTheMomentsOfTheLaw) {
  const GaussianMixture m = uneven();
  constexpr int64_t kCount = 200000, kDimension = 3;
  const std::vector<float> x = m.sample(7, 0, kCount);
  const std::vector<int32_t> component = m.sample_components(7, 0, kCount);
  for (int64_t k = 0; k < m.components(); ++k) {
    double n = 0;
    std::vector<double> sum(kDimension), squares(kDimension);
    for (int64_t i = 0; i < kCount; ++i) {
      if (component[i] != k) continue;
      ++n;
      for (int64_t d = 0; d < kDimension; ++d) {
        const double r = x[i * kDimension + d] - m.means[k * kDimension + d];
        sum[d] += r;
        squares[d] += r * r;
      }
    }
    // Five standard errors each; the draw is fixed, so this passes always or never.
    const double w = m.weights[k];
    EXPECT_NEAR(n / kCount, w, 5 * std::sqrt(w * (1 - w) / kCount));
    for (int64_t d = 0; d < kDimension; ++d) {
      const double variance = m.variances[k * kDimension + d];
      EXPECT_NEAR(sum[d] / n, 0, 5 * std::sqrt(variance / n));
      EXPECT_NEAR(squares[d] / n, variance, 5 * variance * std::sqrt(2 / n));
    }
  }
}

TEST(GaussianMixture, SamplesAreAFunctionOfSeedAndIndex) {
  const GaussianMixture m = uneven();
  const std::vector<float> whole = m.sample(3, 0, 10), tail = m.sample(3, 6, 4);
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), whole.begin() + 6 * 3));
  EXPECT_NE(m.sample(4, 0, 10), whole);
}

TEST(GaussianMixture, RingModesAreOnACircle) {
  const GaussianMixture m = ring_mixture(4, 2, 0.1);
  EXPECT_EQ(m.dimension(), 2);
  const double expected[] = {2, 0, 0, 2, -2, 0, 0, -2};
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(m.means[i], expected[i], 1e-15);
    EXPECT_DOUBLE_EQ(m.variances[i], 0.01);
  }
}

TEST(GaussianMixture, ImageMeansAreSmoothAndDifferent) {
  const Shape shape{16, 16, 3};
  const GaussianMixture m = smooth_image_mixture(2, shape, 0.1, 5);
  ASSERT_EQ(m.dimension(), shape.numel());
  const auto mean = [&](int64_t k, int64_t h, int64_t w, int64_t c) {
    return m.means[((k * 16 + h) * 16 + w) * 3 + c];
  };
  double modes = 0, channels = 0;
  for (int64_t h = 0; h < 16; ++h)
    for (int64_t w = 0; w < 16; ++w)
      for (int64_t c = 0; c < 3; ++c) {
        EXPECT_LT(std::abs(mean(0, h, w, c)), 1);
        // Five pixels lie between grid points, whose values differ by less than 2.
        if (w > 0) {
          EXPECT_LT(std::abs(mean(0, h, w, c) - mean(0, h, w - 1, c)), 2 / 5.0);
        }
        if (h > 0) {
          EXPECT_LT(std::abs(mean(0, h, w, c) - mean(0, h - 1, w, c)), 2 / 5.0);
        }
        modes += std::abs(mean(0, h, w, c) - mean(1, h, w, c));
        channels += std::abs(mean(0, h, w, c) - mean(0, h, w, (c + 1) % 3));
      }
  // Independent uniform numbers on (-1, 1) differ by 2/3 on average.
  EXPECT_GT(modes / 768, 0.2);
  EXPECT_GT(channels / 768, 0.2);
  EXPECT_NE(smooth_image_mixture(2, shape, 0.1, 6).means, m.means);
  EXPECT_EQ(smooth_image_mixture(1, {1, 1, 1}, 0.1, 5).dimension(), 1);
}

TEST(GaussianMixture, RefusesWhatIsNoDistribution) {
  const auto message = [](GaussianMixture m) { return refusal([&] { m.check(); }); };
  EXPECT_EQ(message(uneven()), "");
  EXPECT_THAT(message({{0.5, 0.6}, {0, 1}, {1, 1}}), HasSubstr("sum to 1.1"));
  EXPECT_THAT(message({{1.5, -0.5}, {0, 1}, {1, 1}}), HasSubstr("weight -0.5"));
  EXPECT_THAT(message({{1}, {0}, {0}}), HasSubstr("variance 0"));
  EXPECT_THAT(message({{1}, {NAN}, {1}}), HasSubstr("mean nan"));
  EXPECT_THAT(message({{0.5, 0.5}, {0, 1, 2}, {1, 1, 1}}), HasSubstr("do not fit"));
  EXPECT_THAT(message({{}, {}, {}}), HasSubstr("do not fit"));
  EXPECT_THAT(refusal([] { ring_mixture(0, 1, 1); }), HasSubstr("0 modes"));
  EXPECT_THAT(refusal([] { ring_mixture(3, 1, -1); }), HasSubstr("deviation -1"));
}

}  // namespace
}  // namespace ddpm
