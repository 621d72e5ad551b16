#include "experiments/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "experiments/report/html.h"

namespace ddpm::report {
namespace {

// A table under construction; cells are escaped as they come.
class Table {
 public:
  explicit Table(const std::string& caption = "") {
    html_ = "<div class=\"scroll\"><table>";
    if (!caption.empty()) html_ += "<caption>" + escape_html(caption) + "</caption>";
  }
  struct Column {
    std::string title;
    const char* style = "";  // "number", "number paper", "wrap"
  };
  struct Group {
    std::string title;
    size_t columns;
  };
  void head(const std::vector<Column>& columns, const std::vector<Group>& groups = {}) {
    columns_ = columns;
    html_ += "<thead>";
    if (!groups.empty()) {
      html_ += "<tr class=\"groups\">";
      for (const Group& group : groups)
        html_ += fmt::format("<th colspan=\"{}\" scope=\"colgroup\">{}</th>", group.columns,
                             escape_html(group.title));
      html_ += "</tr>";
    }
    html_ += "<tr>";
    for (const Column& column : columns)
      html_ += fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", column.style,
                           escape_html(column.title));
    html_ += "</tr></thead><tbody>\n";
  }
  // Cells are finished HTML; the first heads the row.
  void row(const std::vector<std::string>& cells) {
    html_ += "<tr>";
    for (size_t i = 0; i < cells.size(); ++i)
      html_ += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", cells[i])
                      : fmt::format("<td class=\"{}\">{}</td>", columns_[i].style, cells[i]);
    html_ += "</tr>\n";
  }
  std::string finish() const { return html_ + "</tbody></table></div>\n"; }

 private:
  std::string html_;
  std::vector<Column> columns_;
};

const char* const kNone = "–";

std::string number_text(double value) {
  if (!std::isfinite(value)) return kNone;
  const bool is_count = std::trunc(value) == value && std::abs(value) < 1e15;
  return is_count ? fmt::format("{:.0f}", value) : fmt::format("{:.5g}", value);
}

std::string json_text(const Json& value) {
  if (value.is_null()) return kNone;
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::string json_html(const Json& value) { return escape_html(json_text(value)); }

std::string status_html(const RunFiles& run) {
  static const std::vector<std::string> known = {"completed",   "diverged",   "failed",
                                                 "interrupted", "unfinished", "unreadable"};
  const bool is_known = std::find(known.begin(), known.end(), run.status) != known.end();
  std::string text = escape_html(run.status);
  if (run.diverged_at_step >= 0) text += fmt::format(" at step {}", run.diverged_at_step);
  return fmt::format("<span class=\"status {}\">{}</span>", is_known ? run.status : "failed", text);
}

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

// A run that diverged has no say in what the variant achieves; it is counted beside it.
std::vector<double> values_of(const StudyFiles& study, const std::string& variant,
                              const std::string& metric) {
  std::vector<double> values;
  for (const RunFiles* run : runs_of(study, variant)) {
    const double value = number_at(at(run->result, "metrics"), metric);
    if (run->status == "completed" && std::isfinite(value)) values.push_back(value);
  }
  return values;
}

// " ↓" where less is better.
std::string arrow(const StudyFiles& study, const std::string& metric) {
  for (const RunFiles& run : study.runs) {
    const std::string better = text_at(at(at(run.result, "metric_info"), metric), "better");
    if (better == "lower") return " ↓";
    if (better == "higher") return " ↑";
  }
  return "";
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

std::string run_name(const RunFiles& run) {
  return fmt::format("<span class=\"id\">{}</span>", escape_html(run.folder));
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  Spread spread{.n = std::ssize(values), .mean = NAN, .std = NAN, .min = NAN, .max = NAN};
  if (values.empty()) return spread;
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double v : values) sum += v;
  spread.mean = sum / n;
  for (double v : values) squares += (v - spread.mean) * (v - spread.mean);
  if (values.size() > 1) spread.std = std::sqrt(squares / (n - 1));
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  spread.min = *min, spread.max = *max;
  return spread;
}

std::string format_spread(const Spread& spread) {
  if (spread.n == 0) return kNone;
  if (!(spread.std > 0)) {
    const char* deviation = spread.n > 1 ? " ± 0" : "";
    return number_text(spread.mean) + deviation;
  }
  // Two digits of the deviation.
  const int decimals = 1 - static_cast<int>(std::floor(std::log10(spread.std)));
  if (decimals > 6) return fmt::format("{:.5g} ± {:.1e}", spread.mean, spread.std);
  const int shown = std::max(decimals, 0);
  return fmt::format("{:.{}f} ± {:.{}f}", spread.mean, shown, spread.std, shown);
}

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
  // What the study file asks for, else everything.
  std::vector<std::string> measured, paper;
  for (const Json& column : at(study.study, "columns"))
    if (column.is_string()) measured.push_back(column.get<std::string>());
  if (measured.empty()) measured = metric_names(study);
  for (const std::string& variant : study.variants) {
    const Json& numbers = study.paper(variant);
    if (!numbers.is_object()) continue;
    for (const auto& [name, value] : numbers.items()) add_new(paper, name);
  }
  Table table(
      "Mean ± standard deviation over the completed seeds. A dash means that nothing was "
      "measured.");
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
    for (const std::string& name : measured)
      cells.push_back(format_spread(spread_of(values_of(study, variant, name))));
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
      table.row({"<span class=\"id\">" + escape_html(name) + "</span>" + arrow(study, name),
                 escape_html(study.label(variant)), fmt::format("{}", s.n), number_text(s.mean),
                 number_text(s.std), number_text(s.min), number_text(s.max)});
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
      table.row({"<span class=\"id\">" + escape_html(name) + "</span>",
                 json_html(at(info, "n_gen")), json_html(at(info, "n_ref")),
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
