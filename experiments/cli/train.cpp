// ddpm train: one run, from a configuration to a folder.
#include "experiments/runner/train.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/runner/build_info.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

struct TrainOptions {
  ConfigOptions config;
  std::string out, resume, progress = "auto";
  bool overwrite = false, dry_run = false;
};

std::string newest_run() {
  std::string newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("runs", error))
    if (fs::exists(entry.path() / "config.json", error))
      newest = std::max(newest, entry.path().string());
  DDPM_CHECK(!newest.empty(), "--resume: there is no run below 'runs'; name one: --resume=FOLDER");
  return newest;
}

TrainRequest to_request(const TrainOptions& options, const CommandLine& line) {
  TrainRequest request;
  request.out = options.out;
  request.resume = !options.resume.empty();
  request.overwrite = options.overwrite;
  request.argv = line.argv();
  request.overrides = options.config.set;
  DDPM_CHECK(!request.resume || !request.overwrite, "--resume and --overwrite exclude each other");
  if (request.resume && options.resume != "latest") {
    DDPM_CHECK(options.out.empty(), "--out and --resume={} both name the run folder",
               options.resume);
    request.out = options.resume;
  }
  if (request.resume && request.out.empty()) request.out = newest_run();
  ConfigOptions config = options.config;
  // A resumed run goes on with its own configuration.
  if (request.resume && config.file.empty()) config.file = request.out + "/config.json";
  request.source = config.source();
  return request;
}

int run_train(const TrainOptions& options, const CommandLine& line) {
  Session session(line.output(), options.progress);
  TrainRequest request = to_request(options, line);
  if (options.dry_run) {
    print_json(plan(std::move(request)));
    return kExitOk;
  }
  request.progress = &session.progress;
  spdlog::debug("ddpm {} ({}): {}", program_version(), git_describe(), fmt::join(line.argv(), " "));
  request.on_folder = [](const std::string& folder) { log_to_file(folder + "/run.log"); };
  const TrainOutcome outcome = train(std::move(request));
  switch (outcome.status) {
    case RunStatus::kCompleted: spdlog::debug("completed {} steps", outcome.step); break;
    case RunStatus::kDiverged:
      spdlog::error("diverged at step {}: {}", outcome.step, outcome.reason);
      break;
    case RunStatus::kInterrupted:
      spdlog::warn("stopped by {}; resume with: ddpm train --resume={}", outcome.reason,
                   outcome.folder);
      break;
    case RunStatus::kFailed: spdlog::error("failed: {}", outcome.reason); break;
  }
  if (line.output().json) {
    print_json({{"status", name_of(outcome.status)},
                {"folder", outcome.folder},
                {"step", outcome.step},
                {"reason", outcome.reason}});
  } else {
    fmt::print("{}\n", outcome.folder);
  }
  return exit_code(outcome.status);
}

}  // namespace

const Command kTrainCommand = {
    {"train",
     "[options] [a.b=v ...]",
     "Trains a model and prints its run folder. The configuration is the defaults, then --config, "
     "then what the command line sets; 'ddpm config show' lists all keys. The first Ctrl-C saves a "
     "checkpoint and stops; a resumed run ends with the same bits as one that never stopped.",
     {"ddpm train --steps 2000 model.base_channels=32 model.channel_multipliers=[1,2]",
      "ddpm train -c cifar10.json diffusion.schedule=cosine --out runs/cosine",
      "ddpm train --resume=runs/cosine training.steps=100000"},
     "a run folder: config.json, run.json, metrics.jsonl, result.json, run.log, checkpoints/, "
     "samples/"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<TrainOptions>();
      options->config.bind(line);
      line.text("-o,--out", options->out, "DIR", "run folder; default: the next runs/NNNNN-name");
      line.optional_text("--resume", options->resume, "latest", "DIR",
                         "go on with a run: that of --out, else the newest below runs/, or DIR");
      line.flag("--overwrite", options->overwrite, "replace the run that is in the folder");
      line.flag("-n,--dry-run", options->dry_run,
                "print the configuration, sizes and folder as JSON, and write nothing");
      line.shorthand("--steps", "training.steps", "N", "optimiser steps");
      line.shorthand("--seed", "seed", "N", "of every random stream");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--precision", "precision", "NAME", "f32 or bf16");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_train(*options, line); };
    }};

}  // namespace ddpm
