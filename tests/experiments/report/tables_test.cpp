// Numbers on their way into a report.
#include "experiments/report/tables.h"

#include <gtest/gtest.h>

#include <cmath>

#include "experiments/report/charts.h"
#include "experiments/report/html.h"

namespace ddpm::report {
namespace {

TEST(Spread, IsTheSamples) {
  const Spread s = spread_of({1, 2, 4});
  EXPECT_EQ(s.n, 3);
  EXPECT_DOUBLE_EQ(s.mean, 7.0 / 3);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(7.0 / 3));
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 4);
  EXPECT_TRUE(std::isnan(spread_of({5}).std));
}

TEST(Spread, HasTheDigitsItDeserves) {
  const auto text = [](double mean, double std) {
    return format_spread({.n = 3, .mean = mean, .std = std});
  };
  EXPECT_EQ(text(12.3456, 0.4189), "12.35 ± 0.42");
  EXPECT_EQ(text(1234.56, 41.89), "1235 ± 42");
  EXPECT_EQ(text(0.00123456, 0.000456), "0.00123 ± 0.00046");
  EXPECT_EQ(text(3.0, 1e-9), "3 ± 1.0e-09");
  EXPECT_EQ(text(3.0, 0), "3 ± 0");
  EXPECT_EQ(format_spread(spread_of({2.5})), "2.5");
  EXPECT_EQ(format_spread(spread_of({651041})), "651041");
  EXPECT_EQ(format_spread(spread_of({})), "–");
}

TEST(Flatten, NamesLeaves) {
  const auto leaves = flatten(Json::parse(R"({"a": {"b": 1, "c": {}}, "d": [1, "x"]})"));
  const decltype(leaves) expected = {{"a.b", "1"}, {"a.c", "{}"}, {"d", "[1,\"x\"]"}};
  EXPECT_EQ(leaves, expected);
}

TEST(Thin, KeepsShortCurvesAndTheMeanOfLongOnes) {
  Points points;
  for (int i = 1; i <= 1000; ++i) points.emplace_back(i, 2.0 * i);
  EXPECT_EQ(thin(points, 1000, false), points);
  const Points thinned = thin(points, 10, false);
  ASSERT_EQ(thinned.size(), 10U);
  EXPECT_EQ(thinned[0], std::pair(50.5, 101.0));
  EXPECT_EQ(thinned[9], std::pair(950.5, 1901.0));
  const Points log_thinned = thin(points, 100, true);
  EXPECT_EQ(log_thinned[0], points[0]);
  EXPECT_EQ(log_thinned[1], points[1]);
  EXPECT_LE(log_thinned.size(), 100U);
  EXPECT_GT(log_thinned.back().first, 950);
}

TEST(RateDistortion, AddsTermsFromTheLastToTheFirst) {
  StudyFiles study;
  study.variants = {"v"};
  study.runs.resize(1);
  study.runs[0].variant = study.variants[0];
  study.runs[0].likelihood = Json::parse(R"({"split": {"test": {
      "bounds": [{"variance": "fixed_small", "terms": [9, 2, 1]}],
      "prior": 0.5, "rmse": [1, 10, 60]}}})");
  const auto charts = rate_distortion_charts(study);
  ASSERT_EQ(charts.size(), 1U);
  EXPECT_EQ(charts[0].data["series"][0]["points"],
            Json::parse("[[0.5, 60.0], [1.5, 10.0], [3.5, 1.0]]"));
  // Without L_2 the rate of all that follows is not known.
  study.runs[0].likelihood["split"]["test"]["bounds"][0]["terms"][2] = nullptr;
  EXPECT_TRUE(rate_distortion_charts(study).empty());
}

TEST(Html, Escapes) {
  EXPECT_EQ(escape_html("<a href=\"x\">&'\x01"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escape_html("\xff µ"), "\uFFFD µ");
  EXPECT_EQ(script_json({{"a", "</script>"}}), R"({"a":"\u003c/script>"})");
}

TEST(Html, Base64) {
  const auto encode = [](std::string_view text) {
    return base64(std::as_bytes(std::span(text.data(), text.size())));
  };
  // RFC 4648, section 10.
  EXPECT_EQ(encode(""), "");
  EXPECT_EQ(encode("f"), "Zg==");
  EXPECT_EQ(encode("fo"), "Zm8=");
  EXPECT_EQ(encode("foo"), "Zm9v");
  EXPECT_EQ(encode("foob"), "Zm9vYg==");
  EXPECT_EQ(encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encode("foobar"), "Zm9vYmFy");
}

}  // namespace
}  // namespace ddpm::report
