// ddpm report: one HTML file from a study's or a run's folder.
#include "experiments/report/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"

namespace ddpm {
namespace {

struct ReportOptions {
  std::string folder, out;
};

int run_report(const ReportOptions& options, const OutputOptions& output) {
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
     {"ddpm report runs/table2", "ddpm report runs/table2 --out table2.html"},
     "FOLDER/report.html unless --out says otherwise"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ReportOptions>();
      line.positional("FOLDER", options->folder, true, "a study's or a run's folder");
      line.text("-o,--out", options->out, "FILE", "the HTML file");
      return [options, &line] { return run_report(*options, line.output()); };
    }};

}  // namespace ddpm
