#include "experiments/runner/distill.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/evaluate.h"
#include "experiments/runner/experiment_config.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/run_folder.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// The teacher's configuration with what makes a student of it: the paper's weighting and falling
// rate, no dropout.
ConfigSource student_source(const DistillRequest& request, const std::string& teacher,
                            const Student& student) {
  const RunFolder folder = RunFolder::open(teacher);
  Json config = with_defaults(folder.read_json("config.json"), folder.file("config.json"));
  constexpr int64_t kFewest = 2;  // steps of a student that trains twice as long, as in the paper
  const int64_t steps = (student.steps <= kFewest ? 2 : 1) * request.steps;
  config["name"] = fmt::format("student_{}", student.steps);
  config["distillation"] = {
      {"teacher", teacher}, {"method", "progressive"}, {"steps", student.steps}};
  config["diffusion"]["loss"] = "simple";
  config["diffusion"]["weighting"] = "truncated_snr";
  config["diffusion"]["timestep_sampler"] = "uniform";
  if (config["model"].contains("dropout")) config["model"]["dropout"] = 0;
  config["optimizer"]["warmup_steps"] = 0;
  config["optimizer"]["decay_steps"] = steps;
  config["training"]["steps"] = steps;
  config["training"]["evaluate_every"] = 0;
  config["sampling"]["sampler"] = {
      {"name", "ddim"}, {"steps", student.steps}, {"stride", "trailing"}};
  ConfigSource source = ConfigSource::parse_text(config.dump(2), student.folder + "/config.json");
  for (const std::string& assignment : request.overrides) source.set(assignment);
  return source;
}

RunStatus train_student(const DistillRequest& request, const std::string& teacher,
                        const Student& student) {
  const Config reader(student_source(request, teacher, student));
  const ExperimentConfig experiment(reader);
  reader.finish();
  const auto result = [&] {
    const std::string path = student.folder + "/result.json";
    return fs::exists(path) ? RunFolder::open(student.folder).read_json("result.json") : Json();
  };
  // A student whose configuration changed starts anew; one that was stopped goes on.
  const bool resumable =
      RunFolder::is_run(student.folder) &&
      RunFolder::open(student.folder).read_json("config.json") == reader.resolved();
  if (resumable && result().contains("evaluated")) return RunStatus::kCompleted;
  const TrainOutcome outcome = train({.source = student_source(request, teacher, student),
                                      .out = student.folder,
                                      .resume = resumable,
                                      .overwrite = !resumable,
                                      .argv = request.argv,
                                      .overrides = request.overrides,
                                      .progress = request.progress});
  if (outcome.status != RunStatus::kCompleted) return outcome.status;
  return evaluate({.run = student.folder, .progress = request.progress});
}

}  // namespace

std::vector<Student> plan_chain(const DistillRequest& request) {
  DDPM_CHECK(request.from >= 2 && request.to >= 1 && request.to < request.from,
             "--from {} --to {}: a student takes fewer steps than its teacher, and one at least",
             request.from, request.to);
  const RunFolder teacher = RunFolder::open(request.teacher);
  const int64_t timesteps = with_defaults(teacher.read_json("config.json"),
                                          teacher.file("config.json"))["diffusion"]["timesteps"];
  DDPM_CHECK(request.from <= timesteps, "--from {}: {} has {} diffusion steps", request.from,
             request.teacher, timesteps);
  std::vector<Student> students;
  int64_t steps = request.from;
  while (steps > request.to && steps % 2 == 0) {
    steps /= 2;
    students.push_back({steps, fmt::format("{}/steps_{:04}", request.out, steps)});
  }
  DDPM_CHECK(steps == request.to,
             "--from {} --to {}: every student takes half its teacher's steps, and {} does not "
             "come of that",
             request.from, request.to, request.to);
  return students;
}

RunStatus distill(const DistillRequest& request) {
  const std::vector<Student> students = plan_chain(request);
  std::string teacher = request.teacher;
  for (size_t i = 0; i < students.size(); ++i) {
    if (request.announce)
      request.announce(fmt::format("{}/{}: {} steps", i + 1, students.size(), students[i].steps));
    try {
      const RunStatus status = train_student(request, teacher, students[i]);
      if (status != RunStatus::kCompleted) return status;
    } catch (const Interrupted&) {
      return RunStatus::kInterrupted;
    }
    teacher = students[i].folder;
  }
  return RunStatus::kCompleted;
}

}  // namespace ddpm
