// What a report is made from: the files of a study's folder, or of one run's, read as they are. A
// missing or broken file is no error here but something that the report says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ddpm::report {

using Json = nlohmann::ordered_json;

// Values of unknown files: the default where a key is missing or has another type.
const Json& at(const Json& object, const std::string& key);  // or null
std::string text_at(const Json& object, const std::string& key, const std::string& missing = "");
double number_at(const Json& object, const std::string& key);  // or NaN

struct RunFiles {
  std::string folder;  // its name below runs/
  std::string variant, status, reason;
  int64_t seed = 0, diverged_at_step = -1;
  Json result;                    // {} if there is none
  Json config;                    // resolved
  Json run;                       // run.json
  std::vector<Json> metrics;      // lines of metrics.jsonl that log steps
  std::vector<Json> evaluations;  // and those that evaluations left
  Json likelihood;                // null if not evaluated
  std::string grid_path;          // the newest of samples/*.png, or ""

  std::string label() const;  // "cosine, seed 0"
};

struct StudyFiles {
  bool is_study = false;
  std::string folder, title;
  Json study, summary;
  std::vector<std::string> variants;  // as in study.json, then in order of appearance
  std::vector<RunFiles> runs;         // by variant, then seed
  std::vector<std::string> problems;  // files that could not be read

  std::string label(const std::string& variant) const;
  const Json& paper(const std::string& variant) const;  // or null
};

// Throws a UserError if the folder is neither.
StudyFiles read_study(const std::string& folder);

}  // namespace ddpm::report
