#include "experiments/report/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "experiments/report/html.h"
#include "experiments/report/html_table.h"
#include "experiments/report/selection.h"
#include "experiments/report/tables.h"
#include "framework/core/check.h"

namespace ddpm::report {

StudyFiles read_pair(const std::string& run_a, const std::string& run_b) {
  StudyFiles pair;
  for (const auto& [letter, folder] : {std::pair("A", run_a), std::pair("B", run_b)}) {
    StudyFiles files = read_study(folder);
    DDPM_CHECK(!files.is_study, "'{}' is a study; name two runs, such as those below {}/runs",
               folder, folder);
    RunFiles& run = files.runs[0];
    run.variant = fmt::format("{}: {}", letter, run.folder);
    pair.variants.push_back(run.variant);
    pair.runs.push_back(std::move(run));
    pair.problems.insert(pair.problems.end(), files.problems.begin(), files.problems.end());
    pair.folder = files.folder;
  }
  pair.title = fmt::format("{} and {}", pair.runs[0].folder, pair.runs[1].folder);
  return pair;
}

std::vector<Difference> differences(const StudyFiles& pair) {
  std::vector<std::string> keys;
  std::map<std::string, std::string> values[2];
  for (size_t i = 0; i < 2; ++i)
    for (const auto& [key, value] : flatten(pair.runs[i].config)) {
      add_new(keys, key);
      values[i][key] = value;
    }
  std::vector<Difference> found;
  const auto text = [&](size_t i, const std::string& key) {
    return values[i].contains(key) ? values[i][key] : std::string(kNone);
  };
  for (const std::string& key : keys)
    if (text(0, key) != text(1, key)) found.push_back({key, text(0, key), text(1, key)});
  return found;
}

std::string pair_differences_table(const StudyFiles& pair) {
  const std::vector<Difference> found = differences(pair);
  if (found.empty()) return "<p>The configurations are the same.</p>\n";
  Table table("Settings in which the runs differ.");
  table.head({{"Key"}, {pair.variants[0], "wrap"}, {pair.variants[1], "wrap"}});
  for (const Difference& d : found) table.row({id_html(d.key), escape_html(d.a), escape_html(d.b)});
  return table.finish();
}

std::string pair_metrics_table(const StudyFiles& pair) {
  Table table("One run each: a difference may be luck. A dash means that nothing was measured.");
  table.head({{"Metric"},
              {pair.variants[0], "number"},
              {pair.variants[1], "number"},
              {"B − A", "number"}});
  for (const std::string& name : metric_names(pair)) {
    const double a = number_at(at(pair.runs[0].result, "metrics"), name);
    const double b = number_at(at(pair.runs[1].result, "metrics"), name);
    table.row(
        {id_html(name) + arrow(pair, name), number_text(a), number_text(b), number_text(b - a)});
  }
  return table.finish();
}

}  // namespace ddpm::report
