// What a study's seeds allow to say, from its summary.json.
#pragma once

#include <string>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// For each metric of the study's table: means with their intervals, differences to the baseline
// with theirs, p values, and what follows. "" when nothing was compared.
std::string comparison_tables(const StudyFiles& study);

// The best evaluation during training beside the last checkpoint's, run by run; "" without any.
std::string over_training_table(const StudyFiles& study);

}  // namespace ddpm::report
