// The curves of a report: what report.js draws, and the words around it.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

using Points = std::vector<std::pair<double, double>>;

struct Chart {
  std::string title, caption;
  Json data;  // {x, y, logX, logY, series: [{label, group, points}]}
};

// One chart for each number that metrics.jsonl logs over steps.
std::vector<Chart> training_charts(const StudyFiles& study);
// One for each split and reverse variance: the terms of the bound over t.
std::vector<Chart> bound_charts(const StudyFiles& study);
// One for each metric with a better side that was evaluated during training; the last point is the
// last checkpoint's.
std::vector<Chart> evaluation_charts(const StudyFiles& study);
// Distortion over rate as the latents x_T, .., x_t arrive one by one (DDPM section 4.3).
std::vector<Chart> rate_distortion_charts(const StudyFiles& study);
// One of its curves: (rate, RMSE) after 1, .., T reverse steps. Empty where a term is missing,
// which leaves every later rate unknown.
Points rate_distortion_curve(const RunFiles& run, const std::string& split,
                             const std::string& variance);

// At most about `most` points: means over pieces of equal length, or, for a logarithmic x, of
// lengths that grow with x. Short pieces at the start keep what changes fast.
Points thin(const Points& points, size_t most, bool log_x);

}  // namespace ddpm::report
