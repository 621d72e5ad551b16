// ddpm eval: the metrics of a trained run.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/runner/evaluate.h"
#include "experiments/runner/run_folder.h"

namespace ddpm {
namespace {

struct EvalOptions {
  EvaluateRequest request;
  std::string progress = "auto";
};

int run_eval(const EvalOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  EvaluateRequest request = options.request;
  request.progress = &session.progress;
  const RunStatus status = evaluate(request);
  if (status == RunStatus::kDiverged)
    spdlog::error("'{}' diverged: its samples are no images", request.run);
  if (status == RunStatus::kInterrupted) spdlog::warn("stopped: nothing was measured");
  const auto result = RunFolder::open(request.run).read_json("result.json");
  if (output.json) {
    print_json(result);
  } else if (result.contains("metrics")) {
    for (const auto& [name, value] : result["metrics"].items())
      fmt::print("{:<28} {}\n", name, value.dump());
  }
  return exit_code(status);
}

}  // namespace

const Command kEvalCommand = {
    {"eval",
     "RUN [options] [a.b=v ...]",
     "Measures a trained run and prints its metrics. It computes the variational bound and, with "
     "evaluation.samples, distances between samples and data.",
     {"ddpm eval runs/cosine", "ddpm eval runs/cosine evaluation.samples=10000 --json"},
     "the run's result.json, likelihood.json and samples/ are updated"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<EvalOptions>();
      line.positional("RUN", options->request.run, true, "a run folder");
      line.text("--checkpoint", options->request.checkpoint, "FILE", "instead of the newest");
      line.assignments(options->request.overrides);
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--precision", "precision", "NAME", "f32 or bf16");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_eval(*options, line.output()); };
    }};

}  // namespace ddpm
