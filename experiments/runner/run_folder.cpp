#include "experiments/runner/run_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOwnNames[] = {"config.json", "run.json", "metrics.jsonl", "result.json",
                                     "checkpoints", "samples",  "likelihood",    "likelihood.json",
                                     "features",    "figures",  "sweep",         "run.log"};

void make_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  DDPM_CHECK(!error, "{}: cannot create the folder: {}", path, error.message());
}

// What may be overwritten: other programs (diffusers) have a config.json, too.
bool has_own_config(const std::string& path) {
  if (!RunFolder::is_run(path)) return false;
  const auto json = nlohmann::json::parse(read_text_file(path + "/config.json"), nullptr, false);
  return json.is_object() && json.contains("diffusion");
}

// Nothing but the empty folders of a run that was killed before it wrote its configuration.
bool holds_no_file(const std::string& path) {
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (!entry.is_directory()) return false;
  return true;
}

std::string dump(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

bool RunFolder::is_run(const std::string& path) { return fs::exists(path + "/config.json"); }

RunFolder RunFolder::create(const std::string& path, bool overwrite) {
  std::error_code error;
  if (fs::exists(path, error)) {
    DDPM_CHECK(fs::is_directory(path), "{}: is a file; the run needs a folder", path);
    const bool is_ours = has_own_config(path);
    if (overwrite && is_ours) {
      for (const char* name : kOwnNames) fs::remove_all(path + "/" + name);
    } else {
      DDPM_CHECK(holds_no_file(path), "{}: the folder is not empty; {}", path,
                 is_ours ? "train --resume continues the run in it, --overwrite starts anew"
                         : "choose another one");
    }
  }
  make_directories(path);
  RunFolder folder(path);
  make_directories(folder.checkpoints());
  make_directories(folder.file("samples"));
  return folder;
}

RunFolder RunFolder::open(const std::string& path) {
  DDPM_CHECK(is_run(path), "{}: not a run folder (it has no config.json)", path);
  RunFolder folder(path);
  make_directories(folder.checkpoints());
  make_directories(folder.file("samples"));
  return folder;
}

std::string RunFolder::checkpoint(int64_t step) const {
  return fmt::format("{}/step_{:08}.h5", checkpoints(), step);
}

std::string RunFolder::sample_grid(int64_t step, const std::string& weights) const {
  return fmt::format("{}/samples/step_{:08}_{}.png", path_, step, weights);
}

void RunFolder::write_json(const std::string& name, const nlohmann::ordered_json& json) const {
  write_file_atomically(file(name), dump(json, 2) + "\n");
}

nlohmann::ordered_json RunFolder::read_json(const std::string& name) const {
  auto json = nlohmann::ordered_json::parse(read_text_file(file(name)), nullptr, false);
  DDPM_CHECK(!json.is_discarded(), "{}: not valid JSON", file(name));
  return json;
}

void RunFolder::append_metrics(const nlohmann::ordered_json& line) const {
  append_line(file("metrics.jsonl"), dump(line, -1));
}

void RunFolder::truncate_metrics(int64_t step) const {
  const std::string path = file("metrics.jsonl");
  if (!fs::exists(path)) return;
  const std::string text = read_text_file(path);
  std::string kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn
    const std::string line = text.substr(begin, end - begin);
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step") || json["step"] > step) break;
    kept += line + "\n";
    begin = end + 1;
  }
  if (kept != text) write_file_atomically(path, kept);
}

std::vector<nlohmann::ordered_json> RunFolder::metrics() const {
  std::vector<nlohmann::ordered_json> lines;
  const std::string path = file("metrics.jsonl");
  if (!fs::exists(path)) return lines;
  std::istringstream text(read_text_file(path));
  for (std::string line; std::getline(text, line);) {
    auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (json.is_object()) lines.push_back(std::move(json));
  }
  return lines;
}

double RunFolder::last_loss() const {
  double loss = NAN;
  for (const auto& line : metrics()) loss = line.value("loss", loss);
  return loss;
}

std::vector<nlohmann::ordered_json> RunFolder::evaluations(const std::string& settings) const {
  auto lines = metrics();
  std::erase_if(lines, [&](const auto& line) { return line.value("settings", "") != settings; });
  return lines;
}

bool RunFolder::has_evaluation(int64_t step) const {
  for (const auto& line : metrics())
    if (line.contains("evaluation") && line["step"] == step) return true;
  return false;
}

void RunFolder::prune_checkpoints(int64_t keep) const {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(checkpoints()))
    if (entry.path().extension() == ".h5") files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // zero-padded steps sort by age
  for (size_t i = 0; i + static_cast<size_t>(keep) < files.size(); ++i) fs::remove(files[i]);
}

}  // namespace ddpm
