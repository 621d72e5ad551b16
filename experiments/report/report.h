// One self-contained HTML file about a study or a run: tables that need no script, charts that need
// no network. It is rebuilt from the folder alone (study_folder.h).
#pragma once

#include <string>

namespace ddpm {

std::string render_report(const std::string& study_or_run_folder);
// Two runs side by side.
std::string render_comparison(const std::string& run_a, const std::string& run_b);
void write_report(const std::string& study_or_run_folder, const std::string& html_path);

}  // namespace ddpm
