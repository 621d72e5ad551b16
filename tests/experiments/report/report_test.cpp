// Reports of invented studies: everything is in them, nothing gets out of them.
#include "experiments/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/report/assets.h"
#include "framework/core/check.h"
#include "framework/io/file.h"
#include "tests/experiments/report/fake_study.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// The page without the library, whose comments have addresses and whose code has every character.
std::string own_part(std::string html) {
  const size_t at = html.find(chart_js());
  if (at != std::string::npos) html.erase(at, chart_js().size());
  return html;
}

nlohmann::json chart_data(const std::string& html) {
  const std::string open = "<script type=\"application/json\" id=\"charts\">";
  const size_t begin = html.find(open) + open.size();
  return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

// Every tag is closed in order; the few that have no end are left out.
std::string unbalanced_tag(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    if (html.compare(at, 4, "<!--") == 0) {
      at = html.find("-->", at);
      continue;
    }
    if (html[at + 1] == '!') continue;
    const bool closes = html[at + 1] == '/';
    const size_t begin = at + 1 + closes;
    const std::string name = html.substr(begin, html.find_first_of(" >", begin) - begin);
    if (name == "meta" || name == "img" || name == "input") continue;
    if (!closes) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return name;
    } else {
      open.pop_back();
    }
    // Scripts and styles are not markup.
    if (!closes && (name == "script" || name == "style")) at = html.find("</" + name, at) - 1;
  }
  return open.empty() ? "" : open.back();
}

TEST(Report, SaysEverythingAboutEveryRun) {
  const FakeStudy study(false);
  const std::string html = own_part(render_report(study.folder));
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
  EXPECT_EQ(unbalanced_tag(html), "");
  EXPECT_NE(html.find("<h1>Noise schedules on digits</h1>"), std::string::npos);
  EXPECT_NE(html.find("5 of 6 runs completed; 3 variants, 2 seeds"), std::string::npos);
  for (const auto& run : fs::directory_iterator(study.folder + "/runs"))
    EXPECT_GE(count(html, run.path().filename().string()), 2U) << run.path();
  EXPECT_EQ(count(html, "data:image/png;base64,iVBORw0KGgo"), 6U);  // the newest of each
  EXPECT_EQ(count(html, "step_00002000.png"), 6U);
  // 3.70 and 3.71, the paper's number, and how it was measured.
  EXPECT_NE(html.find("3.7050 ± 0.0071"), std::string::npos);
  EXPECT_NE(html.find("<td class=\"number paper\">3.17</td>"), std::string::npos);
  EXPECT_NE(html.find("nll_test ↓"), std::string::npos);
  EXPECT_NE(html.find("weights_sha256: 0123abcd"), std::string::npos);
  EXPECT_NE(html.find("8x8 digits: not comparable with CIFAR-10"), std::string::npos);
  EXPECT_NE(html.find("diffusion.schedule.name"), std::string::npos);
  EXPECT_NE(html.find("v0.1.0-12-gabc1234"), std::string::npos);
  // The diverged run.
  EXPECT_NE(html.find("<span class=\"status diverged\">diverged at step 707</span>"),
            std::string::npos);
  EXPECT_NE(html.find("the gradient of step 707 is not finite"), std::string::npos);
  EXPECT_NE(html.find("1 completed, 1 diverged"), std::string::npos);
}

TEST(Report, ChartsHaveTheCurvesOfEveryRun) {
  const FakeStudy study(false);
  const nlohmann::json charts = chart_data(render_report(study.folder));
  ASSERT_EQ(charts.size(), 6U);  // four logged numbers, the bound, rate and distortion
  EXPECT_EQ(charts[0]["y"], "loss");
  EXPECT_EQ(charts[0]["logY"], true);
  ASSERT_EQ(charts[0]["series"].size(), 6U);
  EXPECT_EQ(charts[0]["series"][0]["points"].size(), 100U);
  EXPECT_EQ(charts[0]["series"][5]["points"].back()[0], 700);
  EXPECT_EQ(charts[4]["series"].size(), 5U);
  const nlohmann::json curve = charts[5]["series"][0]["points"];
  // From the prior alone at large error to the full rate at small error.
  EXPECT_NEAR(curve.front()[0].get<double>(), 7e-6, 1e-9);
  EXPECT_GT(curve.front()[1].get<double>(), 60);
  EXPECT_NEAR(curve.back()[1].get<double>(), 1, 1e-6);
  EXPECT_GT(curve.back()[0].get<double>(), 1);
}

TEST(Report, NeedsNoNetwork) {
  const FakeStudy study(false);
  const std::string html = own_part(render_report(study.folder));
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("src=\"//"), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(html.find("@import"), std::string::npos);
}

TEST(Report, CarriesChartJsWithItsLicence) {
  const FakeStudy study(false);
  const std::string html = render_report(study.folder);
  EXPECT_NE(html.find("Chart.js v3"), std::string::npos);
  EXPECT_NE(html.find("Permission is hereby granted, free of charge"), std::string::npos);
  EXPECT_EQ(chart_js().find("</script"), std::string_view::npos);
  EXPECT_EQ(chart_js().find("<!--"), std::string_view::npos);
}

TEST(Report, HostileNamesStayText) {
  const FakeStudy study(true);
  const std::string html = own_part(render_report(study.folder));
  EXPECT_EQ(unbalanced_tag(html), "");
  EXPECT_EQ(html.find("<script src"), std::string::npos);
  EXPECT_EQ(html.find("<img src=x"), std::string::npos);
  EXPECT_EQ(count(html, "</script>"), 3U);  // the data, the library and our own
  EXPECT_NE(html.find("&lt;/script&gt;&lt;script src=&#39;http://evil.example"), std::string::npos);
  EXPECT_EQ(chart_data(html)[0]["series"][5]["group"], kHostileText);
}

TEST(Report, BrokenFilesAreReportedNotFatal) {
  const FakeStudy study(false);
  const std::string run = study.folder + "/runs/00000-v-s0";
  write_file_atomically(run + "/result.json", "{\"variant\": \"linear\", \xff");
  append_line(study.folder + "/runs/00001-v-s1/metrics.jsonl", "{\"step\": 2020, \"lo");
  fs::remove(study.folder + "/runs/00002-v-s0/result.json");
  write_file_atomically(study.folder + "/runs/00003-v-s1/likelihood.json",
                        R"({"split": {"test": {"bounds": [3, {"terms": "x"}], "rmse": [null]}}})");
  write_file_atomically(study.folder + "/runs/00004-v-s0/metrics.jsonl",
                        "[1]\nnull\n{\"step\":1}\n");
  const std::string html = own_part(render_report(study.folder));
  EXPECT_EQ(unbalanced_tag(html), "");
  EXPECT_NE(html.find("class=\"status unreadable\""), std::string::npos);
  EXPECT_NE(html.find("class=\"status unfinished\""), std::string::npos);
  EXPECT_NE(html.find("Not read: " + run + "/result.json"), std::string::npos);
  EXPECT_NE(html.find("metrics.jsonl: 2 lines are not JSON objects"), std::string::npos);
}

TEST(Report, OfASingleRun) {
  const FakeStudy study(false);
  const std::string run = study.folder + "/runs/00002-v-s0";
  write_report(run, run + "/report.html");
  const std::string html = own_part(read_text_file(run + "/report.html"));
  EXPECT_EQ(unbalanced_tag(html), "");
  EXPECT_NE(html.find("<h1>20261122T071500Z-00004d</h1>"), std::string::npos);
  EXPECT_EQ(count(html, "data:image/png"), 1U);
}

TEST(Report, OfARunThatHasJustStarted) {
  const fs::path run = fs::temp_directory_path() / "ddpm_report_young_run";
  fs::create_directories(run);
  write_file_atomically((run / "config.json").string(), R"({"seed": 3, "name": ""})");
  const std::string html = render_report(run.string());
  EXPECT_EQ(unbalanced_tag(html), "");
  EXPECT_NE(html.find("class=\"status unfinished\""), std::string::npos);
  EXPECT_EQ(html.find(chart_js()), std::string::npos);  // no curve, no library
  fs::remove_all(run);
}

TEST(Report, RefusesOtherFolders) {
  EXPECT_THROW(render_report(fs::temp_directory_path().string() + "/no such folder"), UserError);
}

}  // namespace
}  // namespace ddpm
