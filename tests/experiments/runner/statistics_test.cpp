#include "experiments/runner/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>

#include "experiments/runner/resampling.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

using Values = std::vector<double>;

// scipy's answers; tests/golden/make_statistics_golden.py made them.
const nlohmann::json& golden() {
  static const auto json = nlohmann::json::parse(read_text_file(DDPM_TEST_DATA "/statistics.json"));
  return json;
}

// Both sides are right to a few ulp of the largest number in the sum.
constexpr double kRounding = 1e-11;

void expect_interval(const Interval& actual, const nlohmann::json& expected, double tolerance) {
  EXPECT_NEAR(actual.low, expected[0].get<double>(), tolerance);
  EXPECT_NEAR(actual.high, expected[1].get<double>(), tolerance);
}

TEST(StudentT, MatchesScipy) {
  for (const auto& row : golden()["t_quantiles"]) {
    const double p = row[0], nu = row[1], expected = row[2];
    EXPECT_NEAR(student_t_quantile(p, nu), expected, kRounding * expected) << p << " " << nu;
    EXPECT_NEAR(student_t_quantile(1 - p, nu), -expected, kRounding * expected);
  }
}

TEST(StudentT, OfOneDegreeIsCauchys) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), std::tan(0.475 * std::numbers::pi), kRounding * 12.7);
}

TEST(Summarise, KnowsWhatOneValueCannotTell) {
  const auto one = summarise({3.5});
  EXPECT_EQ(one["mean"], 3.5);
  EXPECT_TRUE(one["std"].is_null());
  EXPECT_TRUE(one["ci95"].is_null());
}

TEST(Summarise, DescribesASample) {
  const auto s = summarise({4, 1, 2, 3});
  EXPECT_EQ(s["n"], 4);
  EXPECT_EQ(s["mean"], 2.5);
  EXPECT_EQ(s["median"], 2.5);
  EXPECT_NEAR(s["std"].get<double>(), 1.2909944487358056, 1e-15);
  EXPECT_NEAR(s["sem"].get<double>(), 0.6454972243679028, 1e-15);
  // 2.5 +- 3.182446305284263 * sem
  EXPECT_NEAR(s["ci95"][0].get<double>(), 2.5 - 2.0542602567605, 1e-9);
  EXPECT_EQ(s["values"].size(), 4u);
}

TEST(Summarise, MatchesScipy) {
  for (const auto& sample : golden()["one_sample"]) {
    const Values values = sample["values"];
    const auto t = summarise(values), bca = summarise(values, IntervalMethod::kBca);
    EXPECT_NEAR(t["std"].get<double>(), sample["std"].get<double>(), kRounding);
    EXPECT_NEAR(t["sem"].get<double>(), sample["sem"].get<double>(), kRounding);
    expect_interval({t["ci95"][0], t["ci95"][1]}, sample["t"], kRounding * 13);
    EXPECT_EQ(t["ci_method"], "t");
    expect_interval({bca["ci95"][0], bca["ci95"][1]}, sample["bca"], kRounding);
    EXPECT_EQ(bca["ci_method"], "bca");
  }
}

TEST(Bca, MatchesScipysOwnResamples) {
  for (const auto& sample : golden()["one_sample"]) {
    // An end is the quantile of 10,000 means near 2.5 %, whose own standard error is
    // sqrt(.025 * .975 / 10,000) / density = 0.027 standard deviations of the mean; 5 of those.
    const double noise = 5 * 0.027 * sample["sem"].get<double>();
    expect_interval(bca_interval(sample["values"]), sample["bca_own"], noise);
  }
}

TEST(Bca, IsExactlyRepeatable) {
  const Values values = golden()["one_sample"].back()["values"];
  const Interval a = bca_interval(values), b = bca_interval(values);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
}

TEST(Bca, OfDegenerateSamples) {
  const Interval equal = bca_interval({2.5, 2.5, 2.5});
  EXPECT_EQ(equal.low, 2.5);
  EXPECT_EQ(equal.high, 2.5);
  EXPECT_TRUE(std::isnan(bca_interval({2.5}).low));
  EXPECT_TRUE(std::isnan(bca_interval({}).low));
}

// It follows a change of unit, and mirrors with the sample, to the noise of the resampling.
TEST(Bca, IsEquivariant) {
  const Values values = golden()["one_sample"].back()["values"];
  const Interval base = bca_interval(values);
  Values scaled = values;
  for (double& v : scaled) v = 1000 * v + 7;
  const Interval moved = bca_interval(scaled);
  EXPECT_NEAR(moved.low, 1000 * base.low + 7, 1e-8);
  EXPECT_NEAR(moved.high, 1000 * base.high + 7, 1e-8);
  for (double& v : scaled) v = -v;
  const Interval mirrored = bca_interval(scaled);
  EXPECT_NEAR(mirrored.low, -moved.high, 1e-8);
  EXPECT_NEAR(mirrored.high, -moved.low, 1e-8);
}

// The claim of a confidence interval: of 400 samples of 20, about 95 % of the intervals hold the
// mean. Three standard errors of that share are 3.3 %; the bootstrap of 20 normal values is known
// to be about 2 % short.
TEST(Intervals, CoverAsTheyPromise) {
  std::mt19937 random(2020);
  std::normal_distribution<double> normal(3, 2);
  int t = 0, bca = 0, welch = 0;
  for (int i = 0; i < 400; ++i) {
    Values a(20), b(7);
    for (double& v : a) v = normal(random);
    for (double& v : b) v = 5 * normal(random);  // mean 15
    const auto holds = [](const Interval& c, double mean) { return c.low < mean && mean < c.high; };
    const auto s = summarise(a);
    t += holds({s["ci95"][0], s["ci95"][1]}, 3);
    bca += holds(bca_interval(a), 3);
    welch += holds(welch_interval(a, b), -12);
  }
  EXPECT_NEAR(t / 400.0, 0.95, 0.033);
  EXPECT_NEAR(bca / 400.0, 0.93, 0.038);
  EXPECT_NEAR(welch / 400.0, 0.95, 0.033);
}

TEST(Welch, MatchesScipy) {
  for (const auto& pair : golden()["two_samples"])
    expect_interval(welch_interval(pair["a"], pair["b"]), pair["welch"], kRounding * 13);
  EXPECT_TRUE(std::isnan(welch_interval({1}, {2, 3}).low));
  EXPECT_EQ(welch_interval({2, 2}, {1, 1}).high, 1);
}

TEST(SignFlip, MatchesScipy) {
  for (const auto& sample : golden()["one_sample"])
    EXPECT_DOUBLE_EQ(sign_flip_p(sample["values"]), sample["p_signflip"].get<double>());
}

TEST(SignFlip, CountsWhatCanBeCountedByHand) {
  EXPECT_EQ(sign_flip_p({}), 1);
  EXPECT_EQ(sign_flip_p({0, 0}), 1);
  EXPECT_EQ(sign_flip_p({1, 2, 3}), 2.0 / 8);        // only + + + and - - - reach 6
  EXPECT_EQ(sign_flip_p({-1, 2, 3}), 4.0 / 8);       // and those with the 1 turned
  EXPECT_EQ(sign_flip_p({0.1, 0.2, -0.3}), 1);       // 0 up to rounding: every sum reaches it
  EXPECT_EQ(sign_flip_p(Values(20, 1.0)), 0x1p-19);  // 2 / 2^20
  EXPECT_EQ(smallest_sign_flip_p(5), 0.0625);
}

// Beyond enumeration: 25 differences that are ones but for k minus ones have the p of a binomial
// sign test, P(|25 - 2 B| >= 25 - 2 k).
TEST(SignFlip, DrawsWhatCannotBeCounted) {
  Values values(25, 1.0);
  for (int i = 0; i < 7; ++i) values[i] = -1;
  double tail = 0, term = 1;  // C(25, i)
  for (int i = 0; i <= 7; ++i) {
    tail += term;
    term = term * (25 - i) / (i + 1);
  }
  const double exact = 2 * tail * 0x1p-25;  // 0.0433
  // Four standard errors of 100,000 draws.
  EXPECT_NEAR(sign_flip_p(values), exact, 4 * std::sqrt(exact / 100'000));
  EXPECT_GT(sign_flip_p(Values(25, 1.0)), 0) << "no p is zero";
}

TEST(Permutation, MatchesScipy) {
  for (const auto& pair : golden()["two_samples"])
    EXPECT_DOUBLE_EQ(permutation_p(pair["a"], pair["b"]), pair["p_permutation"].get<double>());
}

TEST(Permutation, CountsAndDraws) {
  EXPECT_EQ(permutation_p({1, 2}, {3, 4}), 2.0 / 6);
  EXPECT_EQ(smallest_permutation_p(2, 2), 2.0 / 6);
  EXPECT_EQ(permutation_p({1}, {2, 3, 9}), 2.0 / 4);  // 1 and 9 are as far out
  EXPECT_EQ(permutation_p({}, {2}), 1);
  // 30 values have 155,117,520 splits into halves. Of +-1 values with 9 and 15 ones, the
  // hypergeometric tail P(|K - 12| >= 3) is the answer.
  Values a(15, -1.0), b(15, -1.0);
  std::fill_n(a.begin(), 4, 1.0);
  std::fill_n(b.begin(), 10, 1.0);
  const auto choose = [](int n, int k) {
    return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1));
  };
  double exact = 0;
  for (int k = 0; k <= 14; ++k)
    if (std::abs(k - 7) >= 3) exact += choose(14, k) * choose(16, 15 - k) / choose(30, 15);
  EXPECT_NEAR(permutation_p(a, b), exact, 4 * std::sqrt(exact / 100'000));
}

// Holm's procedure is the closure of Bonferroni's: an adjusted p is the largest |I| min p over all
// sets I of hypotheses that hold it.
TEST(Holm, IsTheClosureOfBonferroni) {
  const std::vector<Values> families = {
      {0.01, 0.04, 0.03, 0.005}, {0.5, 0.01, 0.7}, {0.2, 0.2}, {0.9}};
  for (const Values& p : families) {
    const Values adjusted = holm(p);
    for (size_t i = 0; i < p.size(); ++i) {
      double largest = 0;
      for (uint32_t set = 1; set < 1U << p.size(); ++set) {
        if (!(set >> i & 1)) continue;
        double smallest = 1, size = 0;
        for (size_t k = 0; k < p.size(); ++k)
          if (set >> k & 1) smallest = std::min(smallest, p[k]), ++size;
        largest = std::max(largest, std::min(1.0, size * smallest));
      }
      EXPECT_DOUBLE_EQ(adjusted[i], largest);
    }
  }
  EXPECT_TRUE(holm({}).empty());
}

}  // namespace
}  // namespace ddpm
