#include "experiments/runner/study_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

StudyFile study_of(std::vector<std::string> variants, const std::string& baseline) {
  StudyFile study;
  study.name = "study";
  for (const std::string& name : variants) study.variants.push_back({.name = name, .label = name});
  study.baseline = baseline;
  return study;
}

Json result_of(const std::string& variant, int64_t seed, double fd,
               const std::string& stream = "") {
  return {{"variant", variant},
          {"seed", seed},
          {"status", "completed"},
          {"config", {{"stream", stream}}},
          {"metrics", {{"fd", fd}}}};
}

TEST(StudySummary, DescribesEveryVariantAndMetric) {
  Json results = {result_of("a", 0, 1), result_of("a", 1, 3), result_of("b", 0, 2)};
  results.push_back(result_of("b", 1, 100));
  results[3]["status"] = "diverged";
  results[0]["metrics"]["missing"] = nullptr;
  const Json summary = summarise_study(study_of({"a", "b", "c"}, "a"), results);
  EXPECT_EQ(summary["schema"], "ddpm.summary/1");
  EXPECT_EQ(summary["baseline"], "a");
  const Json& a = summary["variants"]["a"];
  EXPECT_EQ(a["status"], Json({{"completed", 2}}));
  EXPECT_EQ(a["metrics"]["fd"]["values"], Json({1, 3}));
  EXPECT_EQ(a["metrics"]["fd"]["seeds"], Json({0, 1}));
  EXPECT_EQ(a["metrics"]["fd"]["ci_method"], "t");
  EXPECT_FALSE(a["metrics"].contains("missing"));
  const Json& b = summary["variants"]["b"];
  EXPECT_EQ(b["status"], Json({{"completed", 1}, {"diverged", 1}}));
  EXPECT_EQ(b["metrics"]["fd"]["n"], 1) << "a diverged run has no say";
  EXPECT_TRUE(summary["variants"]["c"]["metrics"].empty());
}

TEST(StudySummary, ComparesPairsBySeed) {
  // Out of order, and seed 7 of one arm only.
  const Json results = {result_of("a", 2, 1.0), result_of("a", 0, 5.0),  result_of("a", 1, 3.0),
                        result_of("b", 0, 5.5), result_of("b", 1, 3.25), result_of("b", 2, 1.75),
                        result_of("b", 7, 99)};
  const Json summary = summarise_study(study_of({"b", "a"}, "a"), results);
  const Json& c = summary["comparisons"]["fd"]["b"];
  EXPECT_EQ(c["n"], 3);
  EXPECT_EQ(c["deltas"], Json({0.5, 0.25, 0.75}));
  EXPECT_EQ(c["seeds"], Json({0, 1, 2}));
  EXPECT_EQ(c["delta_mean"], 0.5);
  EXPECT_EQ(c["seeds_paired"], true);
  EXPECT_EQ(c["ci_method"], "bca");
  EXPECT_EQ(c["p_signflip"], 0.25);
  EXPECT_EQ(c["holm_p"], 0.25);
  EXPECT_EQ(c["claim"], "n too small to claim: of 3 pairs the smallest two-sided p is 0.25");
  EXPECT_FALSE(summary["comparisons"]["fd"].contains("a"));
}

TEST(StudySummary, ArmsWithTheirOwnRandomNumbersAreNoPairs) {
  Json results;
  for (int64_t seed = 0; seed < 5; ++seed) {
    results.push_back(result_of("a", seed, 1 + 0.1 * static_cast<double>(seed), "a"));
    results.push_back(result_of("b", seed, 2 + 0.2 * static_cast<double>(seed), "b"));
  }
  const Json summary = summarise_study(study_of({"a", "b"}, "a"), results);
  const Json& c = summary["comparisons"]["fd"]["b"];
  EXPECT_EQ(c["seeds_paired"], false);
  EXPECT_EQ(c["n"], Json({5, 5}));
  EXPECT_EQ(c["ci_method"], "welch");
  EXPECT_FALSE(c.contains("p_signflip"));
  EXPECT_FALSE(c.contains("deltas"));
  EXPECT_DOUBLE_EQ(c["p_permutation"], 2.0 / 252);  // C(10, 5)
  EXPECT_EQ(c["claim"], "higher than the baseline (Holm p = 0.0079)");
}

TEST(StudySummary, ClaimsWhatIsLeftAfterHolm) {
  std::vector<std::string> variants = {"base", "better", "same"};
  Json results;
  for (int64_t seed = 0; seed < 8; ++seed) {
    const double jitter = 0.01 * static_cast<double>(seed * seed % 5);
    results.push_back(result_of("base", seed, 10));
    results.push_back(result_of("better", seed, 9 + jitter));
    results.push_back(result_of("same", seed, seed % 2 ? 10.1 + jitter : 9.9));
  }
  const auto claim = [&](const char* variant) {
    const Json summary = summarise_study(study_of(variants, "base"), results);
    return summary["comparisons"]["fd"][variant]["claim"].get<std::string>();
  };
  EXPECT_EQ(claim("better"), "lower than the baseline (Holm p = 0.016)");  // 2 * 2 / 2^8
  EXPECT_THAT(claim("same"), HasSubstr("no difference shown"));
  // Eight pairs could show something, but not after Holm over ten comparisons.
  for (int i = 0; i < 8; ++i) {
    variants.push_back("other" + std::to_string(i));
    for (int64_t seed = 0; seed < 8; ++seed)
      results.push_back(result_of(variants.back(), seed, seed % 2 ? 11 : 9));
  }
  EXPECT_EQ(claim("better"),
            "n too small to claim: of 8 pairs the smallest two-sided p is 0.0078, 0.078 after Holm "
            "over 10 comparisons");
}

TEST(StudySummary, WithoutABaselinesRunsThereIsNothingToCompare) {
  const Json summary = summarise_study(study_of({"a", "b"}, "a"),
                                       Json({result_of("b", 0, 1), result_of("b", 1, 2)}));
  EXPECT_TRUE(summary["comparisons"].empty());
  const Json apart = summarise_study(study_of({"a", "b"}, "a"),
                                     Json({result_of("a", 3, 1), result_of("b", 1, 2)}));
  EXPECT_TRUE(apart["comparisons"].empty()) << "no seed in common";
}

}  // namespace
}  // namespace ddpm
