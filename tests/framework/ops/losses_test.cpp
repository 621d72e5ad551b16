// Corners of the likelihood terms that random cases do not reach.
#include "framework/ops/losses.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ddpm {
namespace {

template <class T>
Tensor one(double value) {
  return Tensor::from_host<T>({static_cast<T>(value)}, {1, 1}, Device::kCpu);
}

template <class T>
double decoder_bits(double x, double mean, double log_variance, int levels = 256) {
  return static_cast<double>(
      discretized_normal_nll(one<T>(x), one<T>(mean), one<T>(log_variance), levels)
          .template data<T>()[0]);
}

TEST(DiscretizedNormal, MassesOfAllBinsAddUpToOne) {
  for (double mean : {-1.3, -0.2, 0.99})
    for (double log_variance : {-11.0, -5.0, 0.0}) {
      double total = 0;
      for (int k = 0; k < 256; ++k)
        total += std::exp2(-decoder_bits<double>(2 * k / 255.0 - 1, mean, log_variance));
      EXPECT_NEAR(total, 1, 1e-9) << mean << " " << log_variance;  // 256 floors of 1e-12
    }
}

TEST(DiscretizedNormal, IsFlooredAndFiniteForAnyLogVariance) {
  const double floor_bits = -std::log2(1e-12);
  EXPECT_NEAR(decoder_bits<float>(0.1, -0.9, -100), floor_bits, 1e-4);
  EXPECT_NEAR(decoder_bits<double>(0.1, -0.9, -500), floor_bits, 1e-12);
  EXPECT_NEAR(decoder_bits<float>(0.1, 0.1, -200), 0, 1e-6) << "all mass in the right bin";
  EXPECT_NEAR(decoder_bits<float>(0.1, 0.1, 200), floor_bits, 1e-4) << "mass spread to nothing";
}

TEST(DiscretizedNormal, KeepsItsTailsInF32) {
  // Six standard deviations out on either side, where 1 - Phi vanishes in f32.
  for (double side : {-1.0, 1.0}) {
    const double expected = decoder_bits<double>(side * 0.06, 0, std::log(1e-4));
    EXPECT_LT(expected, -std::log2(1e-12));
    EXPECT_NEAR(decoder_bits<float>(side * 0.06, 0, std::log(1e-4)), expected, 1e-3);
  }
}

TEST(NormalKl, IsExactlyZeroForEqualNormalsAndQuadraticNearby) {
  const auto kl = [](double shift) {
    return static_cast<double>(
        normal_kl(one<float>(0.3), one<float>(-8), one<float>(0.3), one<float>(-8 + shift))
            .data<float>()[0]);
  };
  EXPECT_EQ(kl(0), 0);
  const double d = 0x1p-10;  // exact in f32
  EXPECT_NEAR(kl(d) / (d * d / 4 / std::log(2.0)), 1, 1e-3);
}

}  // namespace
}  // namespace ddpm
