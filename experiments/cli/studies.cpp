#include "experiments/cli/studies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "experiments/report/study_folder.h"
#include "framework/config/suggest.h"
#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

// Beside the installed program, else in the source tree it was built from.
fs::path studies_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path().parent_path() / "share/ddpm/studies";
  return fs::is_directory(installed, error) ? installed : fs::path(DDPM_STUDIES);
}

}  // namespace

std::vector<ShippedStudy> shipped_studies() {
  std::vector<ShippedStudy> studies;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(studies_folder(), error)) {
    if (entry.path().extension() != ".json") continue;
    const std::string path = entry.path().string();
    const auto json = nlohmann::ordered_json::parse(read_text_file(path), nullptr, false, true);
    studies.push_back({entry.path().stem().string(), report::text_at(json, "title"), path});
  }
  std::sort(studies.begin(), studies.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return studies;
}

std::string find_study(const std::string& file_or_name) {
  if (fs::is_regular_file(file_or_name)) return file_or_name;
  std::vector<std::string> names;
  for (const ShippedStudy& study : shipped_studies()) {
    if (study.name == file_or_name) return study.path;
    names.push_back(study.name);
  }
  fail_user("there is no file '{}' and no study of that name; known: {}.{}", file_or_name,
            fmt::join(names, ", "), did_you_mean(file_or_name, names));
}

}  // namespace ddpm
