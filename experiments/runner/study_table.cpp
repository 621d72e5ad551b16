// study_table(): the study's results beside the paper's, as aligned text.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/runner/study.h"
#include "experiments/runner/text_table.h"
#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

Json read_json(const std::string& path) {
  Json json = Json::parse(read_text_file(path), nullptr, false);
  DDPM_CHECK(json.is_object(), "{}: not a JSON object", path);
  return json;
}

std::string metric_cell(const Json& metrics, const std::string& name) {
  if (!metrics.contains(name)) return "-";
  const Json& m = metrics[name];
  if (m["std"].is_null()) return fmt::format("{:.4g}", m["mean"].get<double>());
  return fmt::format("{:.4g} ± {:.2g}", m["mean"].get<double>(), m["std"].get<double>());
}

std::string status_cell(const Json& statuses) {
  std::string text;
  for (const auto& [status, count] : statuses.items())
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", status,
                        count > 1 ? fmt::format(" x{}", count.get<int>()) : "");
  return text.empty() ? "not run" : text;
}

}  // namespace

std::string study_table(const std::string& folder) {
  const Json study = read_json(folder + "/study.json");
  const Json summary = read_json(folder + "/summary.json");
  Row paper_columns;
  for (const Json& variant : study["variants"])
    for (const auto& [name, value] : variant["paper"].items())
      if (std::find(paper_columns.begin(), paper_columns.end(), name) == paper_columns.end())
        paper_columns.push_back(name);

  std::vector<Row> rows(1, {"variant", "status"});
  for (const Json& column : study["columns"]) rows[0].push_back(column);
  for (const std::string& column : paper_columns) rows[0].push_back("paper: " + column);
  for (const Json& variant : study["variants"]) {
    const Json entry =
        summary["variants"].value(variant["name"].get<std::string>(), Json::object());
    Row row = {variant["label"], status_cell(entry.value("status", Json::object()))};
    for (const Json& column : study["columns"])
      row.push_back(metric_cell(entry.value("metrics", Json::object()), column));
    for (const std::string& column : paper_columns) {
      const Json value = variant["paper"].value(column, Json("-"));
      row.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    rows.push_back(std::move(row));
  }

  const std::string text = study["title"].get<std::string>() + "\n\n" +
                           text_table(rows, true, [](size_t column) { return column < 2; });
  const std::string note = study["note"];
  return note.empty() ? text : text + "\n" + note + "\n";
}

}  // namespace ddpm
