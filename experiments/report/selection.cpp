#include "experiments/report/selection.h"

#include <algorithm>
#include <cmath>

namespace ddpm::report {

void add_new(std::vector<std::string>& list, const std::string& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

std::vector<const RunFiles*> runs_of(const StudyFiles& study, const std::string& variant) {
  std::vector<const RunFiles*> runs;
  for (const RunFiles& run : study.runs)
    if (run.variant == variant) runs.push_back(&run);
  return runs;
}

std::vector<std::string> metric_names(const StudyFiles& study) {
  std::vector<std::string> names;
  for (const RunFiles& run : study.runs) {
    const Json& metrics = at(run.result, "metrics");
    if (!metrics.is_object()) continue;
    for (const auto& [name, value] : metrics.items())
      if (value.is_number()) add_new(names, name);
  }
  return names;
}

std::vector<double> values_of(const StudyFiles& study, const std::string& variant,
                              const std::string& metric) {
  std::vector<double> values;
  for (const RunFiles* run : runs_of(study, variant)) {
    const double value = number_at(at(run->result, "metrics"), metric);
    if (run->status == "completed" && std::isfinite(value)) values.push_back(value);
  }
  return values;
}

std::string arrow(const StudyFiles& study, const std::string& metric) {
  for (const RunFiles& run : study.runs) {
    const std::string better = text_at(at(at(run.result, "metric_info"), metric), "better");
    if (better == "lower") return " ↓";
    if (better == "higher") return " ↑";
  }
  return "";
}

std::vector<std::string> table_columns(const StudyFiles& study) {
  std::vector<std::string> columns;
  for (const Json& column : at(study.study, "columns"))
    if (column.is_string()) add_new(columns, column.get<std::string>());
  return columns.empty() ? metric_names(study) : columns;
}

}  // namespace ddpm::report
