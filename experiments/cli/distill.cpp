// ddpm distill: a chain of students, each in half the steps of its teacher.
#include "experiments/runner/distill.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/text_table.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

struct DistillOptions {
  DistillRequest request;
  std::string progress = "auto";
};

// What the students' results say of their samples.
Json summary(const std::vector<Student>& students) {
  Json rows = Json::array();
  for (const Student& student : students) {
    if (!RunFolder::is_run(student.folder)) continue;
    const Json result = RunFolder::open(student.folder).read_json("result.json");
    rows.push_back({{"steps", student.steps},
                    {"folder", student.folder},
                    {"status", result["status"]},
                    {"metrics", result["metrics"]}});
  }
  return rows;
}

void print_table(const Json& rows) {
  std::vector<std::vector<std::string>> table = {{"steps", "status", "loss", "distance", "folder"}};
  for (const Json& row : rows) {
    std::string distance = "-";
    for (const auto& [name, value] : row["metrics"].items())
      if (name.starts_with("fd_") && value.is_number() && distance == "-")
        distance = fmt::format("{} {:.4g}", name, value.get<double>());
    const Json& loss = row["metrics"]["loss_final"];
    table.push_back({std::to_string(row["steps"].get<int64_t>()), row["status"],
                     loss.is_number() ? fmt::format("{:.4g}", loss.get<double>()) : "-", distance,
                     row["folder"]});
  }
  const auto is_left = [](size_t column) { return column % 2 == 1 || column == 4; };
  fmt::print("{}", text_table(table, /*has_rule=*/false, is_left));
}

int run_distill(const DistillOptions& options, const CommandLine& line) {
  DistillRequest request = options.request;
  if (request.out.empty()) request.out = request.teacher + "/distilled";
  const std::vector<Student> students = plan_chain(request);
  Session session(line.output(), options.progress);
  request.progress = &session.progress;
  request.argv = line.argv();
  request.announce = [](const std::string& text) { spdlog::info(text); };
  const RunStatus status = distill(request);
  const Json rows = summary(students);
  if (status == RunStatus::kInterrupted)
    spdlog::warn("stopped; the same command goes on");
  else if (status != RunStatus::kCompleted)
    spdlog::error("{}: {}", rows.empty() ? request.out : rows.back()["folder"].get<std::string>(),
                  name_of(status));
  if (line.output().json)
    print_json({{"status", name_of(status)}, {"students", rows}});
  else
    print_table(rows);
  return exit_code(status);
}

}  // namespace

const Command kDistillCommand = {
    {"distill",
     "TEACHER [options] [a.b=v ...]",
     "Progressive distillation (Salimans & Ho 2022): trains a student that does in one DDIM step "
     "what its teacher does in two, then a student of that student, and so on. Every student is a "
     "run like any other. The teacher predicts velocity or x0; another one becomes such a run by "
     "'ddpm train distillation.method=output'. Finished students are kept, stopped ones resume.",
     {"ddpm distill runs/velocity --from 64 --to 1 --steps 2000",
      "ddpm sample runs/velocity/distilled/steps_0004",
      "ddpm train -c runs/eps/config.json distillation.teacher=runs/eps "
      "distillation.method=output diffusion.parameterization=velocity"},
     "DIR/steps_NNNN: the run folder of the student of so many steps"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<DistillOptions>();
      DistillRequest& request = options->request;
      line.positional("TEACHER", request.teacher, true, "a run folder");
      line.text("-o,--out", request.out, "DIR", "of the chain; default: TEACHER/distilled");
      line.integer("--from", request.from, 2, 1 << 20, "N", "DDIM steps of the teacher");
      line.integer("--to", request.to, 1, 1 << 20, "N",
                   "of the last student: --from halved again and again");
      line.integer("--steps", request.steps, 1, int64_t{1} << 30, "N",
                   "optimiser steps of a student; those of 2 and 1 steps get twice as many");
      line.assignments(request.overrides);
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_distill(*options, line); };
    }};

}  // namespace ddpm
