// The tables of a report, as HTML.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// "a.b" -> JSON text of every leaf of a configuration.
std::vector<std::pair<std::string, std::string>> flatten(const Json& config);

std::string results_table(const StudyFiles& study);
std::string metrics_table(const StudyFiles& study);
std::string bounds_table(const StudyFiles& study);
std::string runs_table(const StudyFiles& study);
std::string differences_table(const StudyFiles& study);  // and the settings that all runs share
std::string measurement_table(const StudyFiles& study);
std::string environment_table(const StudyFiles& study);

}  // namespace ddpm::report
