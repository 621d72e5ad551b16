#include "experiments/runner/statistics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ddpm {
namespace {

// Values of scipy.stats.t.ppf.
TEST(StudentT, MatchesPublishedQuantiles) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.706204736432095, 1e-9);
  EXPECT_NEAR(student_t_quantile(0.975, 4), 2.7764451051977987, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.995, 30), 2.7499956535672276, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.025, 4), -2.7764451051977987, 1e-11);
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

}  // namespace
}  // namespace ddpm
