// The tables of a report, as HTML.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// Over the seeds of one variant; std is of the sample (n - 1), NaN below two values.
struct Spread {
  int64_t n = 0;
  double mean = 0, std = 0, min = 0, max = 0;
};
Spread spread_of(const std::vector<double>& values);
// "12.31 ± 0.42": as many digits as the deviation makes meaningful.
std::string format_spread(const Spread& spread);

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
