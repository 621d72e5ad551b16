#include "experiments/report/study_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm::report {
namespace {

namespace fs = std::filesystem;

const Json kNull = nullptr;

class Reader {
 public:
  explicit Reader(std::vector<std::string>& problems) : problems_(problems) {}

  // Null if the file is missing or broken.
  Json json(const fs::path& path) const {
    if (!fs::exists(path)) return nullptr;
    try {
      return Json::parse(read_text_file(path.string()));
    } catch (const std::exception& error) {
      problems_.push_back(fmt::format("{}: {}", path.string(), error.what()));
      return nullptr;
    }
  }

  std::vector<Json> lines(const fs::path& path) const {
    std::vector<Json> lines;
    if (!fs::exists(path)) return lines;
    std::string text;
    try {
      text = read_text_file(path.string());
    } catch (const Error& error) {
      problems_.push_back(error.what());
      return lines;
    }
    size_t dropped = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      // A run that was killed may leave half a line at the end.
      Json line = Json::parse(text.begin() + static_cast<ptrdiff_t>(begin),
                              text.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
      if (line.is_object()) {
        lines.push_back(std::move(line));
      } else if (end > begin && end < text.size()) {
        ++dropped;
      }
      begin = end + 1;
    }
    if (dropped > 0)
      problems_.push_back(fmt::format("{}: {} lines are not JSON objects", path.string(), dropped));
    return lines;
  }

 private:
  std::vector<std::string>& problems_;
};

// The last by name: names carry the step, with leading zeros.
std::string newest_png(const fs::path& folder) {
  std::string newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".png") newest = std::max(newest, entry.path().string());
  return newest;
}

RunFiles read_run(const fs::path& path, const Reader& reader) {
  RunFiles run;
  run.folder = path.filename().string();
  run.result = reader.json(path / "result.json");
  run.config = reader.json(path / "config.json");
  run.run = reader.json(path / "run.json");
  if (run.config.is_null()) run.config = at(run.result, "config");
  for (Json& line : reader.lines(path / "metrics.jsonl"))
    (line.contains("evaluation") ? run.evaluations : run.metrics).push_back(std::move(line));
  run.likelihood = reader.json(path / "likelihood.json");
  run.grid_path = newest_png(path / "samples");

  run.variant = text_at(run.result, "variant", text_at(run.run, "variant", run.folder));
  if (run.variant.empty()) run.variant = text_at(run.config, "name", run.folder);
  if (run.variant.empty()) run.variant = run.folder;
  const double seed = number_at(at(run.result, "seed").is_null() ? run.config : run.result, "seed");
  run.seed = std::isfinite(seed) ? static_cast<int64_t>(seed) : 0;
  // Without a result the run goes on, or was killed.
  const bool broken = run.result.is_null() && fs::exists(path / "result.json");
  run.status = text_at(run.result, "status", broken ? "unreadable" : "unfinished");
  run.reason = text_at(run.result, "reason");
  const double step = number_at(run.result, "diverged_at_step");
  if (std::isfinite(step)) run.diverged_at_step = static_cast<int64_t>(step);
  return run;
}

std::vector<fs::path> subfolders(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_directory(error)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

bool is_run(const fs::path& folder) {
  for (const char* file : {"config.json", "result.json", "run.json"})
    if (fs::exists(folder / file)) return true;
  return false;
}

const Json& variant_of(const Json& study, const std::string& name) {
  for (const Json& variant : at(study, "variants"))
    if (text_at(variant, "name") == name) return variant;
  return kNull;
}

}  // namespace

const Json& at(const Json& object, const std::string& key) {
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string text_at(const Json& object, const std::string& key, const std::string& missing) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : missing;
}

double number_at(const Json& object, const std::string& key) {
  const Json& value = at(object, key);
  return value.is_number() ? value.get<double>() : NAN;
}

std::string RunFiles::label() const { return fmt::format("{}, seed {}", variant, seed); }

std::string StudyFiles::label(const std::string& variant) const {
  return text_at(variant_of(study, variant), "label", variant);
}

const Json& StudyFiles::paper(const std::string& variant) const {
  return at(variant_of(study, variant), "paper");
}

StudyFiles read_study(const std::string& folder) {
  const fs::path path(folder);
  StudyFiles files;
  const Reader reader(files.problems);
  files.folder = fs::absolute(path).lexically_normal().string();
  files.is_study = fs::exists(path / "study.json");
  DDPM_CHECK(files.is_study || is_run(path),
             "'{}' is neither a study nor a run: it has no study.json, config.json or result.json",
             folder);
  if (files.is_study) {
    files.study = reader.json(path / "study.json");
    files.summary = reader.json(path / "summary.json");
    for (const fs::path& run : subfolders(path / "runs"))
      if (is_run(run)) files.runs.push_back(read_run(run, reader));
    files.title = text_at(files.study, "title", text_at(files.study, "name"));
    for (const Json& variant : at(files.study, "variants"))
      files.variants.push_back(text_at(variant, "name"));
  } else {
    files.runs.push_back(read_run(fs::canonical(path), reader));
    files.title = text_at(files.runs[0].result, "run_id", files.runs[0].folder);
  }
  if (files.title.empty()) files.title = fs::path(files.folder).filename().string();
  auto& variants = files.variants;
  const auto rank = [&](const RunFiles& run) {
    return std::find(variants.begin(), variants.end(), run.variant) - variants.begin();
  };
  for (const RunFiles& run : files.runs)
    if (rank(run) == std::ssize(variants)) variants.push_back(run.variant);
  std::stable_sort(files.runs.begin(), files.runs.end(), [&](const auto& a, const auto& b) {
    return std::pair(rank(a), a.seed) < std::pair(rank(b), b.seed);
  });
  return files;
}

}  // namespace ddpm::report
