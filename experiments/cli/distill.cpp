// ddpm distill: runs of few steps, or of smaller networks, from a run.
#include "experiments/runner/distill.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "diffusion/registry.h"
#include "experiments/cli/command.h"

namespace ddpm {
namespace {

struct DistillOptions {
  DistillRequest request;
  std::string progress = "auto";
};

int run_distill(DistillOptions& options, const CommandLine& line) {
  Session session(line.output(), options.progress);
  DistillRequest& request = options.request;
  request.argv = line.argv();
  request.progress = &session.progress;
  request.on_folder = [](const std::string& folder) { log_to_file(folder + "/run.log"); };
  const std::vector<TrainOutcome> outcomes = distill(request);
  const TrainOutcome& last = outcomes.back();
  if (last.status == RunStatus::kInterrupted)
    spdlog::warn("{}: stopped by {}; the same command goes on", last.folder, last.reason);
  if (last.status == RunStatus::kDiverged)
    spdlog::error("{}: diverged at step {}: {}", last.folder, last.step, last.reason);
  nlohmann::ordered_json stages = nlohmann::ordered_json::array();
  for (const TrainOutcome& outcome : outcomes) {
    stages.push_back(
        {{"folder", outcome.folder}, {"status", name_of(outcome.status)}, {"step", outcome.step}});
    if (!line.output().json) fmt::print("{}  {}\n", outcome.folder, name_of(outcome.status));
  }
  if (line.output().json) print_json({{"stages", stages}});
  return exit_code(last.status);
}

}  // namespace

const Command kDistillCommand = {
    {"distill",
     "RUN --out DIR [options] [a.b=v ...]",
     "Trains students of a run, which need fewer steps or a smaller network. Each is a run of its "
     "own with the teacher's configuration, which assignments change. 'progressive' halves the "
     "number of DDIM steps from stage to stage, in DIR/64, DIR/32, ..; a run that predicts "
     "velocity or x0 can be its teacher. 'consistency' and 'consistency_training' make one run in "
     "DIR that draws in one step or a few; 'output' makes one that repeats the teacher's "
     "predictions with whatever model and parameterization the assignments name. Stopped or "
     "killed, the same command goes on, to the same bits.",
     {"ddpm distill runs/teacher --out runs/chain --from 64 --to 1 --steps 2000",
      "ddpm distill runs/epsilon --out runs/velocity --method output "
      "diffusion.parameterization=velocity",
      "ddpm distill runs/teacher --out runs/small --method output model.base_channels=16"},
     "run folders as of train"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<DistillOptions>();
      DistillRequest& r = options->request;
      line.positional("RUN", r.teacher, true, "the run folder of the teacher");
      line.text("-o,--out", r.out, "DIR", "the run, or the folder of the chain of runs");
      std::vector<std::string> methods = distillations().names();
      std::erase(methods, "none");
      line.choice("--method", r.method, methods, "NAME", "'ddpm list distillations' explains them");
      line.integer("--from", r.from, 1, 500000, "N",
                   "progressive: DDIM steps of the first student, whose teacher takes 2 N; "
                   "consistency: noise levels of a path");
      line.integer("--to", r.to, 1, 500000, "N", "progressive: DDIM steps of the last student");
      line.integer("--steps", r.training_steps, 1, int64_t{1} << 31, "N",
                   "optimiser steps of each stage");
      line.assignments(r.overrides);
      bind_progress(line, options->progress);
      return [options, &line] {
        DDPM_CHECK(!options->request.out.empty(), "--out: where the students go is missing");
        return run_distill(*options, line);
      };
    }};

}  // namespace ddpm
