// What tables and charts take from a study's runs.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

void add_new(std::vector<std::string>& list, const std::string& item);

std::vector<const RunFiles*> runs_of(const StudyFiles& study, const std::string& variant);
// Every metric of any run, in order of appearance.
std::vector<std::string> metric_names(const StudyFiles& study);
// What the study asks for, else every metric.
std::vector<std::string> table_columns(const StudyFiles& study);
// Of the completed runs: one that diverged has no say in what the variant achieves.
std::vector<double> values_of(const StudyFiles& study, const std::string& variant,
                              const std::string& metric);
// " ↓" where less is better.
std::string arrow(const StudyFiles& study, const std::string& metric);

}  // namespace ddpm::report
