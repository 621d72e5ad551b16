// Interpolation on the sphere: its ends, its length, and where there is no sphere.
#include "diffusion/slerp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

TEST(Slerp, TurnsEvenlyFromOneEndToTheOther) {
  const std::vector<float> a = {2, 0, 0}, b = {0, 2, 0};
  EXPECT_EQ(slerp(a, b, 0), a);
  EXPECT_EQ(slerp(a, b, 1), b);
  for (const double share : {0.25, 0.5, 0.9}) {
    const double angle = share * std::acos(-1.0) / 2;
    const std::vector<float> x = slerp(a, b, share);
    // An ulp of f32 at 2.
    EXPECT_NEAR(x[0], 2 * std::cos(angle), 3e-7);
    EXPECT_NEAR(x[1], 2 * std::sin(angle), 3e-7);
    EXPECT_EQ(x[2], 0);
  }
}

// What the straight line loses: half of the variance in the middle.
TEST(Slerp, KeepsTheNoiseOfNormals) {
  const std::vector<double> a64 = normal({784}, "a").to_host<double>(),
                            b64 = normal({784}, "b").to_host<double>();
  const std::vector<float> a(a64.begin(), a64.end()), b(b64.begin(), b64.end());
  const std::vector<float> middle = slerp(a, b, 0.5);
  // Two normals in n dimensions have lengths within sqrt(2 / n) of each other, here 5 %, and the
  // middle's square is their mean but for terms of the second order in that.
  EXPECT_NEAR(dot(middle, middle) / ((dot(a, a) + dot(b, b)) / 2), 1, 0.01);
  std::vector<float> line = a;
  for (size_t i = 0; i < a.size(); ++i) line[i] = (a[i] + b[i]) / 2;
  EXPECT_LT(dot(line, line), 0.6 * dot(a, a));
}

TEST(Slerp, IsALineWhereThereIsNoArc) {
  const std::vector<float> a = {1, -2}, twice = {2, -4}, opposite = {-1, 2}, zero = {0, 0};
  EXPECT_EQ(slerp(a, twice, 0.5), (std::vector<float>{1.5, -3}));
  EXPECT_EQ(slerp(a, opposite, 0.5), zero);
  EXPECT_EQ(slerp(a, zero, 0.25), (std::vector<float>{0.75, -1.5}));
}

}  // namespace
}  // namespace ddpm::testing
