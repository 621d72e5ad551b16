#include "experiments/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "experiments/report/html.h"
#include "experiments/report/html_table.h"
#include "experiments/report/selection.h"

namespace ddpm::report {
namespace {

std::string status_html(const RunFiles& run) {
  static const std::vector<std::string> known = {"completed",   "diverged",   "failed",
                                                 "interrupted", "unfinished", "unreadable"};
  const bool is_known = std::find(known.begin(), known.end(), run.status) != known.end();
  std::string text = escape_html(run.status);
  if (run.diverged_at_step >= 0) text += fmt::format(" at step {}", run.diverged_at_step);
  return fmt::format("<span class=\"status {}\">{}</span>", is_known ? run.status : "failed", text);
}

// "2 completed, 1 diverged".
std::string status_counts(const std::vector<const RunFiles*>& runs) {
  std::vector<std::string> order;
  std::map<std::string, int> counts;
  for (const RunFiles* run : runs) {
    add_new(order, run->status);
    ++counts[run->status];
  }
  if (runs.empty()) return "not run";
  std::string text;
  for (const std::string& status : order)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", counts[status], status);
  return text;
}

std::string run_name(const RunFiles& run) { return id_html(run.folder); }

}  // namespace

std::vector<std::pair<std::string, std::string>> flatten(const Json& config) {
  std::vector<std::pair<std::string, std::string>> leaves;
  const auto visit = [&](const auto& self, const std::string& path, const Json& value) -> void {
    if (!value.is_object() || value.empty()) {
      leaves.emplace_back(path, value.dump(-1, ' ', false, Json::error_handler_t::replace));
      return;
    }
    for (const auto& [key, inner] : value.items())
      self(self, path.empty() ? key : path + "." + key, inner);
  };
  if (config.is_object() && !config.empty()) visit(visit, "", config);
  return leaves;
}

std::string results_table(const StudyFiles& study) {
  const std::vector<std::string> measured = table_columns(study);
  std::vector<std::string> paper;
  for (const std::string& variant : study.variants) {
    const Json& numbers = study.paper(variant);
    if (!numbers.is_object()) continue;
    for (const auto& [name, value] : numbers.items()) add_new(paper, name);
  }
  Table table(
      "Mean ± standard deviation over the completed seeds, of the last checkpoint; below it, of "
      "the "
      "best evaluation during training. A dash means that nothing was measured.");
  std::vector<Table::Column> head = {{"Variant"}, {"Runs"}};
  for (const std::string& name : measured) head.push_back({name + arrow(study, name), "number"});
  for (const std::string& name : paper) head.push_back({name, "number paper"});
  std::vector<Table::Group> groups;
  if (!paper.empty()) {
    groups = {{"", 2}, {"Measured here", measured.size()}, {"The paper's", paper.size()}};
    std::erase_if(groups, [](const Table::Group& group) { return group.columns == 0; });
  }
  table.head(head, groups);
  for (const std::string& variant : study.variants) {
    std::vector<std::string> cells = {escape_html(study.label(variant)),
                                      escape_html(status_counts(runs_of(study, variant)))};
    for (const std::string& name : measured) {
      const Spread best = spread_of(values_of(study, variant, name + "_best"));
      cells.push_back(format_spread(spread_of(values_of(study, variant, name))));
      if (best.n > 0)
        cells.back() += fmt::format("<div class=\"sub\">best {}</div>", format_spread(best));
    }
    for (const std::string& name : paper)
      cells.push_back(json_html(at(study.paper(variant), name)));
    table.row(cells);
  }
  return table.finish();
}

std::string metrics_table(const StudyFiles& study) {
  const std::vector<std::string> names = metric_names(study);
  if (names.empty()) return "<p>No metric was measured.</p>\n";
  Table table("Over the completed seeds of each variant; std is the sample's.");
  table.head({{"Metric"},
              {"Variant"},
              {"n", "number"},
              {"Mean", "number"},
              {"Std", "number"},
              {"Min", "number"},
              {"Max", "number"}});
  for (const std::string& name : names) {
    for (const std::string& variant : study.variants) {
      const Spread s = spread_of(values_of(study, variant, name));
      if (s.n == 0) continue;
      table.row({id_html(name) + arrow(study, name), escape_html(study.label(variant)),
                 fmt::format("{}", s.n), number_text(s.mean), number_text(s.std),
                 number_text(s.min), number_text(s.max)});
    }
  }
  return table.finish();
}

std::string bounds_table(const StudyFiles& study) {
  Table table("Bits per dimension ± standard error over images. Total = rate + distortion.");
  table.head({{"Run"},
              {"Split"},
              {"Reverse variance"},
              {"Total", "number"},
              {"Rate", "number"},
              {"Distortion", "number"},
              {"Prior", "number"}});
  for (const RunFiles& run : study.runs) {
    const Json& splits = at(run.likelihood, "split");
    if (!splits.is_object()) continue;
    for (const auto& [split, likelihood] : splits.items()) {
      for (const Json& bound : at(likelihood, "bounds")) {
        const double total = number_at(bound, "total"), error = number_at(bound, "total_se");
        table.row(
            {escape_html(run.label()), escape_html(split), escape_html(text_at(bound, "variance")),
             std::isfinite(error) && error > 0
                 ? format_spread({.n = 2, .mean = total, .std = error})
                 : number_text(total),
             number_text(number_at(bound, "rate")), number_text(number_at(bound, "distortion")),
             number_text(number_at(likelihood, "prior"))});
      }
    }
  }
  return table.finish();
}

std::string runs_table(const StudyFiles& study) {
  Table table;
  table.head({{"Run"},
              {"Variant"},
              {"Seed", "number"},
              {"Status"},
              {"Last step", "number"},
              {"Last loss", "number"},
              {"Training (s)", "number"},
              {"Reason", "wrap"}});
  for (const RunFiles& run : study.runs) {
    const Json last = run.metrics.empty() ? Json() : run.metrics.back();
    table.row({run_name(run), escape_html(study.label(run.variant)), fmt::format("{}", run.seed),
               status_html(run), json_html(at(last, "step")), number_text(number_at(last, "loss")),
               number_text(number_at(at(run.result, "timing"), "train_s")),
               escape_html(run.reason)});
  }
  return table.finish();
}

std::string differences_table(const StudyFiles& study) {
  std::vector<std::string> keys;
  std::vector<std::map<std::string, std::string>> values;
  for (const RunFiles& run : study.runs) {
    values.emplace_back();
    for (const auto& [key, value] : flatten(run.config)) {
      add_new(keys, key);
      values.back()[key] = value;
    }
  }
  const auto [varies, same] = [&] {
    std::pair<std::vector<std::string>, std::vector<std::string>> split;
    for (const std::string& key : keys) {
      const bool equal = std::all_of(values.begin(), values.end(), [&](auto& run) {
        return run.contains(key) && run[key] == values[0][key];
      });
      (equal ? split.second : split.first).push_back(key);
    }
    return split;
  }();
  std::string html;
  if (!varies.empty()) {
    Table table("Only the settings in which the runs differ.");
    std::vector<Table::Column> head = {{"Run"}};
    for (const std::string& key : varies) head.push_back({key});
    table.head(head);
    for (size_t i = 0; i < study.runs.size(); ++i) {
      std::vector<std::string> cells = {run_name(study.runs[i])};
      for (const std::string& key : varies)
        cells.push_back(values[i].contains(key) ? escape_html(values[i][key]) : kNone);
      table.row(cells);
    }
    html += table.finish();
  }
  if (!same.empty()) {
    Table table;
    table.head({{"Key"}, {"Value", "wrap"}});
    for (const std::string& key : same) table.row({escape_html(key), escape_html(values[0][key])});
    html += fmt::format("<details><summary>{} settings that all runs share</summary>{}</details>\n",
                        same.size(), table.finish());
  }
  return html.empty() ? "<p>No run has a config.json.</p>\n" : html;
}

std::string measurement_table(const StudyFiles& study) {
  Table table(
      "How each metric was measured. Numbers with other sample counts, extractors or "
      "preprocessing are not comparable.");
  table.head({{"Metric"},
              {"Samples", "number"},
              {"References", "number"},
              {"Extractor"},
              {"Other", "wrap"}});
  std::vector<std::string> seen;
  for (const RunFiles& run : study.runs) {
    const Json& infos = at(run.result, "metric_info");
    if (!infos.is_object()) continue;
    for (const auto& [name, info] : infos.items()) {
      std::string other;
      for (const auto& [key, value] : info.items()) {
        if (key == "n_gen" || key == "n_ref" || key == "extractor") continue;
        other +=
            fmt::format("{}{}: {}", other.empty() ? "" : "; ", escape_html(key), json_html(value));
      }
      const std::string row = name + info.dump(-1, ' ', false, Json::error_handler_t::replace);
      if (std::find(seen.begin(), seen.end(), row) != seen.end()) continue;
      seen.push_back(row);
      table.row({id_html(name), json_html(at(info, "n_gen")), json_html(at(info, "n_ref")),
                 json_html(at(info, "extractor")), other});
    }
  }
  return seen.empty() ? "" : table.finish();
}

std::string environment_table(const StudyFiles& study) {
  // Equal environments share a row.
  std::vector<std::pair<std::string, std::vector<std::string>>> rows;
  for (const RunFiles& run : study.runs) {
    const Json& source = run.result.is_object() ? run.result : run.run;
    std::string text;
    for (const char* part : {"git", "host", "device", "build", "dataset"}) {
      const Json& value = at(source, part);
      if (value.is_null()) continue;
      text += fmt::format("<div><strong>{}</strong> ", part);
      bool first = true;
      for (const auto& [key, leaf] : flatten(value)) {
        if (leaf == "null") continue;
        text += fmt::format("{}{}: {}", first ? "" : ", ", escape_html(key), escape_html(leaf));
        first = false;
      }
      text += "</div>";
    }
    if (text.empty()) continue;
    const auto same =
        std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.first == text; });
    if (same == rows.end()) {
      rows.push_back({text, {run.folder}});
    } else {
      same->second.push_back(run.folder);
    }
  }
  Table table;
  table.head({{"Runs"}, {"Program, machine and data", "wrap"}});
  for (const auto& [text, runs] : rows)
    table.row({escape_html(fmt::format("{}", fmt::join(runs, ", "))), text});
  return rows.empty() ? "<p>No run says where it was made.</p>\n" : table.finish();
}

}  // namespace ddpm::report
