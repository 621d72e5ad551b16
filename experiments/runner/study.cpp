#include "experiments/runner/study.h"

#include <filesystem>
#include <map>

#include "experiments/runner/evaluate.h"
#include "experiments/runner/experiment_config.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/study_file.h"
#include "experiments/runner/study_summary.h"
#include "framework/io/file.h"
#include "framework/train/checkpoint.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Cell {
  std::string variant;
  int64_t seed;
  std::vector<std::string> overrides;
  std::string folder;
  Json resolved;
};

// Whether what one cell trains is what the other needs: they differ in how they draw and measure,
// and do neither on the way.
bool trains_alike(Json a, Json b) {
  for (Json* config : {&a, &b}) {
    const Json& training = (*config)["training"];
    if (training["sample_every"] != 0 || training["evaluate_every"] != 0) return false;
    config->erase("sampling");
    config->erase("evaluation");
  }
  return a == b;
}

std::string dump_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

class Study {
 public:
  explicit Study(const StudyRequest& request)
      : request_(request), file_(StudyFile::read(request.file)) {
    folder_ = request.out.empty() ? "runs/" + file_.name : request.out;
    if (!request.seeds.empty()) file_.seeds = request.seeds;
    if (request.independent) file_.common_random_numbers = false;
    std::string known;
    for (const StudyVariant& v : file_.variants) known += (known.empty() ? "" : ", ") + v.name;
    for (const std::string& name : request.only)
      DDPM_CHECK(std::any_of(file_.variants.begin(), file_.variants.end(),
                             [&](const StudyVariant& v) { return v.name == name; }),
                 "{}: has no variant '{}'; it has: {}", request.file, name, known);
    make_cells();
  }

  const std::vector<Cell>& cells() const { return cells_; }
  const std::string& folder() const { return folder_; }

  // The result of a cell that is finished under this very configuration, else null.
  Json finished(const Cell& cell) const {
    const Json result = read_result(cell);
    if (result.is_null() || result.value("config_hash", "") != config_hash(cell.resolved))
      return nullptr;
    const std::string status = result.value("status", "");
    const bool done =
        status == "diverged" || (status == "completed" && result.contains("evaluated"));
    return done ? result : Json(nullptr);
  }

  RunStatus run() {
    for (const Cell& cell : cells_)
      if (finished(cell).is_null())
        choose_device(cell.resolved["device"], cell.resolved["precision"]);
    const InterruptGuard guard;
    prepare_folder();
    bool any_failed = false;
    for (size_t i = 0; i < cells_.size(); ++i) {
      if (!finished(cells_[i]).is_null()) continue;
      if (request_.announce)
        request_.announce(fmt::format("{}/{} {}, seed {}", i + 1, cells_.size(), cells_[i].variant,
                                      cells_[i].seed));
      const RunStatus status = run_cell(cells_[i]);
      write_results();
      if (status == RunStatus::kInterrupted) return status;
      any_failed |= status == RunStatus::kFailed;
    }
    write_results();
    return any_failed ? RunStatus::kFailed : RunStatus::kCompleted;
  }

 private:
  // Every cell's configuration is checked before the first one starts.
  void make_cells() {
    size_t index = 0;
    for (const StudyVariant& variant : file_.variants)
      for (const int64_t seed : file_.seeds) {
        const size_t number = index++;
        if (!request_.only.empty() && std::find(request_.only.begin(), request_.only.end(),
                                                variant.name) == request_.only.end())
          continue;
        Cell cell{variant.name, seed, variant.set, {}, {}};
        cell.overrides.insert(cell.overrides.end(), request_.overrides.begin(),
                              request_.overrides.end());
        cell.overrides.push_back(fmt::format("seed={}", seed));
        if (!file_.common_random_numbers)
          cell.overrides.push_back("stream=" + Json(variant.name).dump());
        cell.folder = folder_of(fmt::format("{}-s{}", variant.name, seed), number);
        const Config config(source(cell));
        const ExperimentConfig experiment(config);
        try {
          config.finish();
        } catch (const UserError& error) {
          fail_user("{}: variant '{}': {}", request_.file, variant.name, error.what());
        }
        cell.resolved = config.resolved();
        cells_.push_back(std::move(cell));
      }
  }

  // That of an earlier call, whose seeds and so its numbers may have been others, or a new one.
  std::string folder_of(const std::string& cell, size_t number) const {
    std::string folder = fmt::format("{}/runs/{:05}-{}", folder_, number, cell);
    if (fs::exists(folder) || !fs::is_directory(folder_ + "/runs")) return folder;
    for (const auto& entry : fs::directory_iterator(folder_ + "/runs")) {
      const std::string name = entry.path().filename();
      if (name.size() == cell.size() + 6 && name.ends_with("-" + cell))
        folder = fmt::format("{}/runs/{}", folder_, name);
    }
    return folder;
  }

  ConfigSource source(const Cell& cell) const {
    ConfigSource source = ConfigSource::parse_text(file_.base.dump(2), request_.file + " (base)");
    for (const std::string& assignment : cell.overrides) source.set(assignment);
    return source;
  }

  void prepare_folder() const {
    const std::string path = folder_ + "/study.json";
    const Json study = file_.to_json();
    if (fs::exists(path)) {
      const Json before = Json::parse(read_text_file(path), nullptr, false);
      DDPM_CHECK(before.is_object() && before.value("name", "") == file_.name,
                 "{}: holds another study ('{}'); choose another folder with --out", folder_,
                 before.is_object() ? before.value("name", "?") : "?");
    } else if (fs::exists(folder_)) {
      DDPM_CHECK(fs::is_directory(folder_) && fs::is_empty(folder_),
                 "{}: exists and is not a study's folder; choose another one with --out", folder_);
    }
    std::error_code error;
    fs::create_directories(folder_ + "/runs", error);
    DDPM_CHECK(!error, "{}: cannot create the folder: {}", folder_, error.message());
    write_file_atomically(path, study.dump(2) + "\n");
  }

  RunStatus run_cell(const Cell& cell) {
    try {
      TrainRequest train_request;
      train_request.source = source(cell);
      train_request.out = cell.folder;
      train_request.argv = request_.argv;
      train_request.overrides = cell.overrides;
      train_request.study = file_.name;
      train_request.variant = cell.variant;
      train_request.progress = request_.progress;
      // A cell whose configuration changed starts anew; one that was stopped goes on.
      train_request.resume = resumable(cell) || take_training(cell);
      train_request.overwrite = !train_request.resume;
      const TrainOutcome outcome = train(std::move(train_request));
      if (outcome.status != RunStatus::kCompleted || read_result(cell).contains("evaluated"))
        return outcome.status;
      return evaluate({.run = cell.folder, .progress = request_.progress});
    } catch (const std::exception& error) {
      if (interrupt_signal()) return RunStatus::kInterrupted;
      record_failure(cell, error.what());
      return RunStatus::kFailed;
    }
  }

  bool resumable(const Cell& cell) const {
    if (!RunFolder::is_run(cell.folder)) return false;
    return RunFolder::open(cell.folder).read_json("config.json") == cell.resolved;
  }

  // Gives a cell the last checkpoint and the log of the first cell that trained alike, if there is
  // one. Stopped in between it leaves a run that has no checkpoint yet.
  bool take_training(const Cell& cell) const {
    const auto trainer = std::find_if(cells_.begin(), cells_.end(), [&](const Cell& other) {
      return &other == &cell || trains_alike(other.resolved, cell.resolved);
    });
    if (&*trainer == &cell || !resumable(*trainer)) return false;
    const RunFolder from = RunFolder::open(trainer->folder);
    const int64_t step = trainer->resolved["training"]["steps"];
    if (!fs::exists(from.checkpoint(step))) return false;
    const RunFolder to = RunFolder::create(cell.folder, true);
    to.write_json("config.json", cell.resolved);
    write_file_atomically(to.file("metrics.jsonl"), read_text_file(from.file("metrics.jsonl")));
    std::error_code error;  // on file systems without links
    fs::create_hard_link(from.checkpoint(step), to.checkpoint(step), error);
    if (error) fs::copy_file(from.checkpoint(step), to.checkpoint(step));
    to.write_json("run.json", {{"trained_in", fs::path(from.path()).filename().string()}});
    publish_latest(to.checkpoints(), fs::path(to.checkpoint(step)).filename(), step);
    return true;
  }

  void record_failure(const Cell& cell, const std::string& reason) {
    const std::string path = cell.folder + "/result.json";
    Json result = read_result(cell);
    if (result.is_null())
      result = {{"schema", "ddpm.result/1"}, {"study", file_.name},
                {"variant", cell.variant},   {"seed", cell.seed},
                {"config", cell.resolved},   {"config_hash", config_hash(cell.resolved)},
                {"metrics", Json::object()}};
    result["status"] = name_of(RunStatus::kFailed);
    result["reason"] = reason;
    if (request_.announce)
      request_.announce(fmt::format("{}, seed {} failed: {}", cell.variant, cell.seed, reason));
    failures_[cell.folder] = result;
    try {
      fs::create_directories(cell.folder);
      write_file_atomically(path, result.dump(2) + "\n");
    } catch (const std::exception&) {
      // The folder may be what failed; results.jsonl has the failure all the same.
    }
  }

  Json read_result(const Cell& cell) const {
    if (const auto failure = failures_.find(cell.folder); failure != failures_.end())
      return failure->second;
    const std::string path = cell.folder + "/result.json";
    if (!fs::exists(path)) return nullptr;
    Json result = Json::parse(read_text_file(path), nullptr, false);
    return result.is_object() ? result : Json(nullptr);
  }

  void write_results() const {
    std::string lines;
    Json results = Json::array();
    for (const Cell& cell : cells_) {
      Json result = read_result(cell);
      if (result.is_null()) continue;
      lines += dump_line(result) + "\n";
      results.push_back(std::move(result));
    }
    write_file_atomically(folder_ + "/results.jsonl", lines);
    write_file_atomically(folder_ + "/results.csv", csv(results));
    write_file_atomically(folder_ + "/summary.json",
                          summarise_study(file_, results).dump(2) + "\n");
  }

  static std::string csv(const Json& results) {
    std::vector<std::string> names;
    for (const Json& result : results)
      for (const auto& [name, value] : result["metrics"].items())
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    std::string text = "variant,seed,status";
    for (const std::string& name : names) text += fmt::format(",{}", name);
    for (const Json& result : results) {
      text += fmt::format("\n\"{}\",{},{}", result["variant"].get<std::string>(),
                          result["seed"].dump(), result["status"].get<std::string>());
      for (const std::string& name : names) {
        const Json value = result["metrics"].value(name, Json());
        text += fmt::format(",{}", value.is_number() ? value.dump() : "");
      }
    }
    return text + "\n";
  }

  const StudyRequest& request_;
  StudyFile file_;
  std::string folder_;
  std::vector<Cell> cells_;
  std::map<std::string, Json> failures_;  // by folder, of this process
};

}  // namespace

StudyOutcome run_study(const StudyRequest& request) {
  Study study(request);
  const RunStatus status = study.run();
  return {status, study.folder()};
}

Json plan_study(const StudyRequest& request) {
  const Study study(request);
  Json cells = Json::array();
  for (const Cell& cell : study.cells())
    cells.push_back({{"variant", cell.variant},
                     {"seed", cell.seed},
                     {"folder", cell.folder},
                     {"finished", !study.finished(cell).is_null()},
                     {"config", cell.resolved}});
  return {{"folder", study.folder()}, {"cells", cells}};
}

}  // namespace ddpm
