#include "experiments/runner/distill.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/experiment_config.h"
#include "experiments/runner/result.h"
#include "experiments/runner/run_folder.h"
#include "framework/io/sha256.h"
#include "framework/train/checkpoint.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

struct Stage {
  std::string folder, teacher;
  int64_t steps = 0;  // distillation.steps; 0: it has none
};

std::vector<Stage> stages(const DistillRequest& r) {
  if (r.method == "output") return {{r.out, r.teacher}};
  if (r.method != "progressive") return {{r.out, r.teacher, r.from}};
  std::vector<Stage> chain;
  std::string teacher = r.teacher;
  int64_t steps = r.from;
  for (; steps > r.to; steps /= 2) {
    DDPM_CHECK(steps % 2 == 0 && steps / 2 >= r.to,
               "--from {}: every stage halves the number of steps, and --to {} is not reached",
               r.from, r.to);
    chain.push_back({fmt::format("{}/{}", r.out, steps), teacher, steps});
    teacher = chain.back().folder;
  }
  DDPM_CHECK(steps == r.to, "--from {}: is not below --to {}", r.from, r.to);
  chain.push_back({fmt::format("{}/{}", r.out, steps), teacher, steps});
  return chain;
}

Json recorded_config(const std::string& run) {
  const RunFolder folder = RunFolder::open(run);
  return with_defaults(folder.read_json("config.json"), folder.file("config.json"));
}

ConfigSource stage_source(const DistillRequest& request, const Stage& stage) {
  const Json teacher = recorded_config(stage.teacher);
  ConfigSource source = ConfigSource::parse_text(teacher.dump(2), stage.teacher + "/config.json");
  const auto set = [&](const std::string& key, const Json& value) {
    source.set(key + "=" + value.dump());
  };
  const std::string checkpoint = find_latest(stage.teacher + "/checkpoints");
  DDPM_CHECK(!checkpoint.empty(), "{}: the run has no checkpoint yet", stage.teacher);
  const Json& sampler = teacher["sampling"]["sampler"];
  Json distillation = {{"name", request.method},
                       {"teacher", stage.teacher},
                       {"teacher_sha256", sha256_file(checkpoint)},
                       {"clip_denoised", sampler.value("clip_denoised", true)}};
  if (stage.steps > 0) distillation["steps"] = stage.steps;
  set("distillation", distillation);
  set("training.steps", request.training_steps);
  // The rate falls to zero in every stage (section 3), which leaves nothing for averages to do.
  set("optimizer.anneal_steps", request.training_steps);
  set("optimizer.warmup_steps", 0);
  set("ema.decay", Json::array());
  set("sampling.weights", "raw");
  if (request.method == "progressive")
    set("sampling.sampler", {{"name", "ddim"},
                             {"steps", stage.steps},
                             {"stride", "trailing"},
                             {"clip_denoised", distillation["clip_denoised"]}});
  if (request.method.starts_with("consistency")) {
    set("ema", {{"decay", {0.95}}});  // the target's
    set("sampling.weights", "ema");
    set("sampling.sampler",
        {{"name", "consistency"}, {"steps", 1}, {"clip_denoised", distillation["clip_denoised"]}});
  }
  for (const std::string& assignment : request.overrides) source.set(assignment);
  return source;
}

// A stage that an earlier call has completed.
bool is_done(const Stage& stage, const ConfigSource& wanted) {
  if (!RunFolder::is_run(stage.folder)) return false;
  const RunFolder folder = RunFolder::open(stage.folder);
  if (!std::filesystem::exists(folder.file("result.json"))) return false;
  if (folder.read_json("result.json").value("status", "") != "completed") return false;
  const Json asked = with_defaults(wanted.json(), stage.folder);
  const std::vector<std::string> changed = differing_keys(recorded_config(stage.folder), asked);
  DDPM_CHECK(changed.empty(),
             "{}: holds a run that differs in {} from what is asked for; another --out begins anew",
             stage.folder, fmt::join(changed, ", "));
  return true;
}

}  // namespace

std::vector<TrainOutcome> distill(const DistillRequest& request) {
  std::vector<TrainOutcome> outcomes;
  for (const Stage& stage : stages(request)) {
    ConfigSource source = stage_source(request, stage);
    TrainOutcome outcome;
    if (is_done(stage, source)) {
      outcome.folder = stage.folder;
      outcome.step = request.training_steps;
    } else {
      TrainRequest run;
      run.source = std::move(source);
      run.out = stage.folder;
      run.resume = RunFolder::is_run(stage.folder);
      run.argv = request.argv;
      run.overrides = request.overrides;
      run.progress = request.progress;
      run.on_folder = request.on_folder;
      outcome = train(std::move(run));
    }
    outcomes.push_back(outcome);
    if (outcome.status != RunStatus::kCompleted) break;
  }
  return outcomes;
}

}  // namespace ddpm
