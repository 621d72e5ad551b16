#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "framework/cpu/norm_silu_avx512.h"

#if defined(__x86_64__)
namespace ddpm::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class NormSilu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_avx512_bf16()) GTEST_SKIP() << "no AVX-512 for bf16";
  }
};

// Every width up to two vectors and a tail, from far below zero to far above.
TEST_F(NormSilu, IsTheFormulaRoundedOnce) {
  constexpr size_t kMost = 40;
  std::vector<bf16> x(kMost);
  std::vector<float> mean(kMost), scale(kMost), shift(kMost);
  for (int round = 0; round < 50; ++round)
    for (size_t width = 1; width <= kMost; ++width) {
      for (size_t c = 0; c < width; ++c) {
        const float place = static_cast<float>(round * 40 + static_cast<int>(c)) / 2000;
        x[c] = bf16(240 * place - 120);
        mean[c] = 0.3f * place, scale[c] = 1.1f - place / 5, shift[c] = place - 0.5f;
      }
      std::vector<bf16> y(kMost, bf16(7));
      norm_silu_row(x.data(), mean.data(), scale.data(), shift.data(), static_cast<int64_t>(width),
                    y.data());
      for (size_t c = 0; c < width; ++c) {
        const double u = std::fma(static_cast<double>(float(x[c]) - mean[c]), scale[c], shift[c]);
        const double expected = u / (1 + std::exp(-u));
        // What the header says, half a unit of the last place (2^-8), and u itself in f32, whose
        // error counts |u| times where the sigmoid is an exponential. Below 1e-33 sigmoids end.
        const double tolerance = 7e-5 + std::ldexp(1.0, -8) + 2e-7 * std::abs(u);
        EXPECT_NEAR(float(y[c]), expected, tolerance * std::abs(expected) + 1e-33) << u;
      }
      for (size_t c = width; c < kMost; ++c) EXPECT_EQ(float(y[c]), 7) << "beyond " << width;
    }
}

TEST_F(NormSilu, KeepsWhatIsNotFinite) {
  const std::vector<bf16> x = {bf16(NAN), bf16(kInfinity), bf16(-kInfinity), bf16(0), bf16(-0.0f)};
  const std::vector<float> zeros(5, 0), ones(5, 1);
  std::vector<bf16> y(5);
  norm_silu_row(x.data(), zeros.data(), ones.data(), zeros.data(), 5, y.data());
  EXPECT_TRUE(std::isnan(float(y[0])));
  EXPECT_EQ(float(y[1]), kInfinity);
  // As everywhere else in the program: the sigmoid does not reach 0, so that nothing finite hides
  // it.
  EXPECT_EQ(float(y[2]), -kInfinity);
  EXPECT_EQ(float(y[3]), 0);
  EXPECT_EQ(float(y[4]), 0);
}

}  // namespace
}  // namespace ddpm::cpu
#endif
