// Numbers on their way into a report.
#include "experiments/report/tables.h"

#include <gtest/gtest.h>

#include <cmath>

#include "experiments/report/charts.h"
#include "experiments/report/html.h"
#include "experiments/report/html_table.h"
#include "experiments/report/paper_tables.h"
#include "experiments/report/statistics_tables.h"

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

TEST(Interval, HasTheDigitsItDeserves) {
  EXPECT_EQ(format_interval(-0.1234, 0.2345), "-0.12 to 0.23");
  EXPECT_EQ(format_interval(1234.5, 1300), "1234 to 1300");
  EXPECT_EQ(format_interval(2, 2), "2");
  EXPECT_EQ(format_interval(0, NAN), "–");
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

StudyFiles measured_study() {
  StudyFiles study;
  study.is_study = true;
  study.variants = {"base", "other"};
  study.study = Json::parse(R"({
    "variants": [{"name": "base", "label": "the base"}, {"name": "other", "label": "the other"}],
    "columns": ["fd"],
    "tables": [
      {"title": "Table 1", "columns": {"FID": "fd", "IS": "is"},
       "rows": [{"label": "L_simple", "variant": "base", "paper": {"FID": "3.17"}},
                {"label": "NCSN", "paper": {"FID": "25.32", "IS": "8.87"}}]},
      {"title": "Table 4",
       "rate_distortion": {"variant": "base", "split": "test", "variance": "fixed_small"},
       "rows": [{"steps": 900, "rate": 1.5, "rmse": 0.9}, {"steps": 300, "rate": 0.0, "rmse": 60.0}]}
    ]})");
  study.summary = Json::parse(R"({
    "baseline": "base",
    "variants": {"base": {"metrics": {"fd": {"n": 2, "mean": 3.5, "ci95": [2.9, 4.1]}}},
                 "other": {"metrics": {"fd": {"n": 2, "mean": 5, "ci95": null}}}},
    "comparisons": {"fd": {"other": {"n": 2, "delta_mean": 1.5, "ci95": [1, 2],
      "p_signflip": 0.5, "holm_p": 0.5, "seeds_paired": true, "claim": "n too small to claim"}}}
    })");
  for (int seed = 0; seed < 2; ++seed) {
    RunFiles run;
    run.variant = "base", run.status = "completed", run.seed = seed;
    run.result = {{"metrics", {{"fd", 3 + seed}, {"fd_best", 2 + seed}}},
                  {"metric_info",
                   {{"fd", {{"better", "lower"}}},
                    {"fd_best", {{"better", "lower"}, {"step", 40}, {"best_of", 5}}}}},
                  {"evaluated", {{"step", 60}}}};
    run.evaluations = {Json::parse(R"({"step": 40, "evaluation": {"fd": 2.5, "sample_min": 0}})")};
    run.likelihood = Json::parse(R"({"split": {"test": {
      "bounds": [{"variance": "fixed_small", "terms": [9, 2, 1]}],
      "prior": 0.5, "rmse": [1, 10, 60]}}})");
    study.runs.push_back(run);
  }
  return study;
}

bool has(const std::string& html, const std::string& part) {
  return html.find(part) != std::string::npos;
}

TEST(PaperTables, ShowMeasuredNumbersBeforeThePapers) {
  StudyFiles study = measured_study();
  const std::string html = paper_tables(study);
  EXPECT_TRUE(has(html,
                  "<th scope=\"row\">L_simple</th><td class=\"number\">3.50 ± 0.71</td>"
                  "<td class=\"number paper\">3.17</td>"));
  EXPECT_TRUE(has(html,
                  "<th scope=\"row\">NCSN</th><td class=\"number\">–</td>"
                  "<td class=\"number paper\">25.32</td><td class=\"number\">–</td>"
                  "<td class=\"number paper\">8.87</td>"));
  // The whole of three steps, and a third of them.
  EXPECT_TRUE(has(html,
                  "<th scope=\"row\">900</th><td class=\"number\">3.5 ± 0</td>"
                  "<td class=\"number paper\">1.50000</td><td class=\"number\">1 ± 0</td>"));
  EXPECT_TRUE(has(html,
                  "<th scope=\"row\">300</th><td class=\"number\">0.5 ± 0</td>"
                  "<td class=\"number paper\">0.00000</td><td class=\"number\">60 ± 0</td>"));
  EXPECT_FALSE(has(html, "timesteps_per_image"));
  for (RunFiles& run : study.runs)
    run.likelihood["split"]["test"]["bounds"][0]["terms"][1] = nullptr;
  EXPECT_TRUE(has(paper_tables(study), "timesteps_per_image"));
}

TEST(ComparisonTables, SayWhatFollows) {
  StudyFiles study = measured_study();
  const std::string html = comparison_tables(study);
  EXPECT_TRUE(has(html, "compared in pairs"));
  EXPECT_FALSE(has(html, "Welch"));
  EXPECT_TRUE(has(html, "2.9 to 4.1"));
  EXPECT_TRUE(has(html, "<td class=\"number\">1.5</td><td class=\"number\">1.0 to 2.0</td>"));
  EXPECT_TRUE(has(html, "<p>n too small to claim.</p>"));
  EXPECT_TRUE(has(html, "baseline</td>"));
  // The scale runs from zero, at 6, to the upper end at 134: the mean is at three quarters.
  EXPECT_TRUE(has(html, "<circle cx=\"102.0\""));
  EXPECT_TRUE(has(html, "x1=\"70.0\" x2=\"134.0\""));
  study.summary["comparisons"]["fd"]["other"]["seeds_paired"] = false;
  EXPECT_TRUE(has(comparison_tables(study), "Welch"));
  study.summary = nullptr;
  EXPECT_EQ(comparison_tables(study), "");
}

TEST(OverTraining, HasTheBestBesideTheLast) {
  const StudyFiles study = measured_study();
  EXPECT_TRUE(has(over_training_table(study),
                  "<td class=\"number\">3</td>"
                  "<td class=\"number\">2</td>"
                  "<td class=\"number\">40</td>"
                  "<td class=\"number\">5</td>"));
  EXPECT_TRUE(has(results_table(study), "3.50 ± 0.71<div class=\"sub\">best 2.50 ± 0.71</div>"));
  const auto charts = evaluation_charts(study);
  ASSERT_EQ(charts.size(), 1U) << "ranges of samples are no quality";
  EXPECT_EQ(charts[0].data["series"][0]["points"], Json::parse("[[40.0, 2.5], [60.0, 3.0]]"));
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
