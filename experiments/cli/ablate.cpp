// ddpm ablate: a study, cell by cell, and its report.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/cli/integer_list.h"
#include "experiments/cli/studies.h"
#include "experiments/report/report.h"
#include "experiments/runner/study.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

struct AblateOptions {
  StudyRequest request;  // its file may be a shipped study's name
  std::string seeds, only, progress = "auto";
  bool dry_run = false;
};

int run_ablate(const AblateOptions& options, const CommandLine& line) {
  Session session(line.output(), options.progress);
  StudyRequest request = options.request;
  request.file = find_study(request.file);
  request.seeds = parse_integer_list("--seeds", options.seeds);
  request.only = split_names(options.only);
  request.argv = line.argv();
  request.progress = &session.progress;
  request.announce = [](const std::string& cell) { spdlog::info("{}", cell); };
  if (options.dry_run) {
    print_json(plan_study(request));
    return kExitOk;
  }
  const StudyOutcome outcome = run_study(request);
  const std::string html = outcome.folder + "/report.html";
  write_report(outcome.folder, html);
  spdlog::info("report: {}", html);
  if (outcome.status == RunStatus::kInterrupted)
    spdlog::warn("stopped; the same command goes on where it was");
  if (line.output().json) {
    print_json({{"status", name_of(outcome.status)},
                {"folder", outcome.folder},
                {"summary", Json::parse(read_text_file(outcome.folder + "/summary.json"))}});
  } else {
    fmt::print("{}", study_table(outcome.folder));
  }
  return exit_code(outcome.status);
}

}  // namespace

const Command kAblateCommand = {
    {"ablate",
     "STUDY [options] [a.b=v ...]",
     "Runs a study: every variant with every seed, one run folder each, then a report. Cells that "
     "are finished are kept and stopped ones resume, so the same command continues a study.",
     {"ddpm ablate table2_digits --dry-run",
      "ddpm ablate table2_digits --seeds 0-4 --out runs/table2",
      "ddpm ablate study.json --only linear,cosine training.steps=2000"},
     "DIR: study.json, results.jsonl, results.csv, summary.json, report.html, runs/"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<AblateOptions>();
      line.positional("STUDY", options->request.file, true,
                      "a JSON file, or a name of 'ddpm list studies'");
      line.text("-o,--out", options->request.out, "DIR", "study folder; default: runs/<its name>");
      line.text("--seeds", options->seeds, "LIST", "such as 0-4,7, instead of the study's");
      line.text("--only", options->only, "NAMES", "these variants, separated by commas");
      line.flag("--independent", options->request.independent,
                "every variant draws its own random numbers; default: one seed, one set of them");
      line.flag("-n,--dry-run", options->dry_run, "print the cells as JSON and write nothing");
      line.assignments(options->request.overrides);
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_ablate(*options, line); };
    }};

}  // namespace ddpm
