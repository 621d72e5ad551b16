// The paper's tables as the study file lists them ("tables", see study.h), with what was measured
// here in the column before the paper's number.
#pragma once

#include <string>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// "" when the study names none.
std::string paper_tables(const StudyFiles& study);

}  // namespace ddpm::report
