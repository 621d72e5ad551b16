#include "experiments/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "experiments/report/assets.h"
#include "experiments/report/charts.h"
#include "experiments/report/compare.h"
#include "experiments/report/html.h"
#include "experiments/report/paper_tables.h"
#include "experiments/report/statistics_tables.h"
#include "experiments/report/study_folder.h"
#include "experiments/report/tables.h"
#include "experiments/runner/build_info.h"
#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {
namespace report {
namespace {

constexpr size_t kMostImageBytes = size_t{8} << 20;  // of one grid

// Sections, collected with the entries of the navigation.
class Page {
 public:
  void section(const char* id, const char* title, const std::string& body) {
    nav_ += fmt::format("<a href=\"#{}\">{}</a> ", id, title);
    body_ += fmt::format("<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", id, title, body);
  }
  std::string charts(const std::vector<Chart>& list) {
    std::string html = "<div class=\"charts\">\n";
    for (const Chart& chart : list) {
      html += fmt::format(
          "<figure class=\"chart\" data-chart=\"{}\"><header><strong>{}</strong>"
          "<label><input type=\"checkbox\" autocomplete=\"off\"> log y</label></header>"
          "<div class=\"canvas\"><canvas role=\"img\" aria-label=\"{}\"></canvas></div>"
          "<figcaption>{}</figcaption></figure>\n",
          charts_.size(), escape_html(chart.title), escape_html(chart.title),
          escape_html(chart.caption));
      charts_.push_back(chart.data);
    }
    return html + "</div>\n";
  }
  const std::string& nav() const { return nav_; }
  const std::string& body() const { return body_; }
  const Json& chart_data() const { return charts_; }

 private:
  std::string nav_, body_;
  Json charts_ = Json::array();
};

std::string summary_line(const StudyFiles& study) {
  int64_t completed = 0;
  std::set<int64_t> seeds;
  for (const RunFiles& run : study.runs) {
    completed += run.status == "completed";
    seeds.insert(run.seed);
  }
  std::string text = fmt::format("{} of {} runs completed", completed, study.runs.size());
  if (study.is_study)
    text += fmt::format("; {} variants, {} seeds", study.variants.size(), seeds.size());
  return text;
}

// What a reader must know before the first number.
std::string notices(const StudyFiles& study) {
  std::set<std::string> notes;
  if (const std::string note = text_at(study.study, "note"); !note.empty()) notes.insert(note);
  for (const RunFiles& run : study.runs) {
    const std::string note = text_at(at(run.result, "dataset"), "note");
    if (!note.empty()) notes.insert("Data: " + note);
  }
  const auto diverged = std::count_if(study.runs.begin(), study.runs.end(),
                                      [](const RunFiles& run) { return run.status == "diverged"; });
  if (diverged > 0)
    notes.insert(
        fmt::format("{} of {} runs diverged. Their numbers are left out of means; the table "
                    "of runs has their steps and reasons.",
                    diverged, study.runs.size()));
  for (const std::string& problem : study.problems) notes.insert("Not read: " + problem);
  std::string html;
  for (const std::string& note : notes) html += "<p>" + escape_html(note) + "</p>";
  return html.empty() ? "" : "<div class=\"notice\">" + html + "</div>\n";
}

std::string grids(const StudyFiles& study) {
  std::string html;
  for (const RunFiles& run : study.runs) {
    if (run.grid_path.empty()) continue;
    const std::string name = std::filesystem::path(run.grid_path).filename().string();
    std::string image;
    try {
      image = fmt::format("<img alt=\"samples of {}\" src=\"data:image/png;base64,{}\">",
                          escape_html(run.label()),
                          base64(read_binary_file(run.grid_path, kMostImageBytes)));
    } catch (const Error& error) {
      image = "<p>" + escape_html(error.what()) + "</p>";
    }
    html += fmt::format("<figure>{}<figcaption>{}: {}</figcaption></figure>\n", image,
                        escape_html(run.label()), escape_html(name));
  }
  return html.empty() ? "" : "<div class=\"grids\">" + html + "</div>\n";
}

std::string footer(const StudyFiles& study) {
  bool has_paper = false;
  for (const std::string& variant : study.variants)
    has_paper = has_paper || study.paper(variant).is_object();
  std::string html =
      "<p>Every number on this page was read from the files in the folder; nothing was entered by "
      "hand. A spread over seeds is a sample standard deviation, not an error of the mean, and "
      "says little below five seeds. Curves are means over short pieces of the log.</p>";
  if (has_paper)
    html +=
        "<p>The paper's numbers are those that the study file names. They were measured on the "
        "paper's data with the paper's extractor: compare them with a column here only where "
        "data, sample count and extractor agree.</p>";
  return html + fmt::format(
                    "<p>Written {} by ddpm {} ({}). Charts: Chart.js, MIT licence, in the "
                    "page's source.</p>",
                    utc_now(), program_version(), escape_html(git_describe()));
}

// What comes first: the results of a study, of a run, of two runs.
std::string study_sections(const StudyFiles& study, Page& page) {
  page.section("results", "Results", results_table(study));
  if (const std::string html = comparison_tables(study); !html.empty())
    page.section("statistics", "Statistics", html);
  if (const std::string html = paper_tables(study); !html.empty())
    page.section("paper", "The paper's tables", html);
  return metrics_table(study) + measurement_table(study);
}

enum class Kind { kStudy, kRun, kPair };

std::string document(const StudyFiles& study, Kind kind) {
  Page page;
  std::string all_metrics;
  if (kind == Kind::kStudy) {
    all_metrics = study_sections(study, page);
  } else if (kind == Kind::kPair) {
    page.section("differences", "What differs", pair_differences_table(study));
    page.section("metrics", "Metrics", pair_metrics_table(study) + measurement_table(study));
  } else {
    page.section("metrics", "Metrics", metrics_table(study) + measurement_table(study));
  }
  page.section("runs", "Runs", runs_table(study));
  if (const auto charts = training_charts(study); !charts.empty())
    page.section("training", "Training", page.charts(charts));
  if (const auto charts = evaluation_charts(study); !charts.empty())
    page.section("evaluations", "Evaluations during training",
                 over_training_table(study) + page.charts(charts));
  if (const std::string html = grids(study); !html.empty())
    page.section("samples", "Samples", html);
  const bool has_bounds =
      std::any_of(study.runs.begin(), study.runs.end(),
                  [](const RunFiles& run) { return run.likelihood.is_object(); });
  if (has_bounds) {
    std::vector<Chart> charts = bound_charts(study);
    std::ranges::move(rate_distortion_charts(study), std::back_inserter(charts));
    page.section("likelihood", "Likelihood", bounds_table(study) + page.charts(charts));
  }
  if (!all_metrics.empty()) page.section("metrics", "All metrics", all_metrics);
  page.section("configuration", "Configuration", differences_table(study));
  page.section("environment", "Environment", environment_table(study));

  const std::string title = escape_html(study.title);
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  // Nothing may be loaded from anywhere, whatever a hostile file name says.
  html +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += fmt::format("<title>{}</title>\n<style>\n{}</style>\n", title, report_css());
  html += "<noscript><style>.chart .canvas, .chart label { display: none; }</style></noscript>\n";
  html += fmt::format("</head>\n<body>\n<h1>{}</h1>\n<p class=\"muted\">{}</p>\n", title,
                      escape_html(summary_line(study)));
  html += notices(study);
  html += fmt::format("<nav>{}</nav>\n<main>\n{}</main>\n", page.nav(), page.body());
  html += fmt::format("<footer>{}</footer>\n", footer(study));
  if (!page.chart_data().empty()) {
    html += fmt::format("<script type=\"application/json\" id=\"charts\">{}</script>\n",
                        script_json(page.chart_data()));
    html += fmt::format("<!--\n{}-->\n<script>\n{}\n</script>\n<script>\n{}</script>\n",
                        chart_js_license(), chart_js(), report_js());
  }
  return html + "</body>\n</html>\n";
}

}  // namespace
}  // namespace report

std::string render_report(const std::string& study_or_run_folder) {
  const report::StudyFiles files = report::read_study(study_or_run_folder);
  return report::document(files, files.is_study ? report::Kind::kStudy : report::Kind::kRun);
}

std::string render_comparison(const std::string& run_a, const std::string& run_b) {
  return report::document(report::read_pair(run_a, run_b), report::Kind::kPair);
}

void write_report(const std::string& study_or_run_folder, const std::string& html_path) {
  write_file_atomically(html_path, render_report(study_or_run_folder));
}

}  // namespace ddpm
