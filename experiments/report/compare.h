// Two runs side by side: what differs in their configurations, their metrics and their curves.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// The two runs as a study of two variants, "A: <folder>" and "B: <folder>". Throws a UserError for
// anything but run folders.
StudyFiles read_pair(const std::string& run_a, const std::string& run_b);

struct Difference {
  std::string key, a, b;  // JSON texts, or kNone
};
std::vector<Difference> differences(const StudyFiles& pair);

std::string pair_differences_table(const StudyFiles& pair);
std::string pair_metrics_table(const StudyFiles& pair);  // with B - A

}  // namespace ddpm::report
