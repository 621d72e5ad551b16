// ddpm report: one HTML file from a study's or a run's folder.
#include "experiments/report/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/report/compare.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

struct ReportOptions {
  std::string folder, out, compare;
};

// What differs, as lines or JSON, and the page's path last.
int run_comparison(const ReportOptions& options, const OutputOptions& output) {
  const report::StudyFiles pair = report::read_pair(options.folder, options.compare);
  const std::string html = options.out.empty() ? "comparison.html" : options.out;
  write_file_atomically(html, render_comparison(options.folder, options.compare));
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const report::Difference& d : report::differences(pair)) {
    json[d.key] = {d.a, d.b};
    if (!output.json) fmt::print("{:<32} {}  ->  {}\n", d.key, d.a, d.b);
  }
  if (output.json) {
    print_json({{"report", html}, {"differences", json}});
  } else {
    fmt::print("{}\n", html);
  }
  return kExitOk;
}

int run_report(const ReportOptions& options, const OutputOptions& output) {
  if (!options.compare.empty()) return run_comparison(options, output);
  const std::string html = options.out.empty()
                               ? (std::filesystem::path(options.folder) / "report.html").string()
                               : options.out;
  write_report(options.folder, html);
  if (output.json) {
    print_json({{"report", html}});
  } else {
    fmt::print("{}\n", html);
  }
  return kExitOk;
}

}  // namespace

const Command kReportCommand = {
    {"report",
     "FOLDER [options]",
     "Writes one self-contained HTML file about a study or a run. It reads nothing but the folder, "
     "needs no network to be viewed, and prints its path.",
     {"ddpm report runs/table2", "ddpm report runs/table2 --out table2.html",
      "ddpm report runs/00000-linear --compare runs/00001-cosine"},
     "FOLDER/report.html, or comparison.html, unless --out says otherwise"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ReportOptions>();
      line.positional("FOLDER", options->folder, true, "a study's or a run's folder");
      line.text("--compare", options->compare, "RUN",
                "another run: FOLDER must be a run, and the page is about what differs");
      line.text("-o,--out", options->out, "FILE", "the HTML file");
      return [options, &line] { return run_report(*options, line.output()); };
    }};

}  // namespace ddpm
