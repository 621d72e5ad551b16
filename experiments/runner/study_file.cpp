#include "experiments/runner/study_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "framework/config/config.h"
#include "framework/config/suggest.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 80 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '=' || c == ',';
         });
}

std::vector<std::string> assignments(const Json& set) {
  std::vector<std::string> result;
  for (const auto& [key, value] : set.items()) result.push_back(key + "=" + value.dump());
  return result;
}

StudyVariant read_variant(const Config& config, const Json& json, size_t index) {
  const auto refuse = [&](const std::string& what) {
    config.error("variants", fmt::format("[{}] {}", index, what));
  };
  StudyVariant variant;
  if (!json.is_object()) return refuse("must be an object with a name"), variant;
  for (const auto& [key, value] : json.items()) {
    if (key == "name" && value.is_string())
      variant.name = value;
    else if (key == "label" && value.is_string())
      variant.label = value;
    else if (key == "set" && value.is_object())
      variant.set = assignments(value);
    else if (key == "paper" && value.is_object())
      variant.paper = value;
    else
      refuse(fmt::format("has '{}': allowed are name and label (strings), set and paper (objects)",
                         key));
  }
  if (!is_file_name(variant.name))
    refuse(fmt::format("must have a name of letters, digits and -_.=, for its folder; found '{}'",
                       variant.name));
  if (variant.label.empty()) variant.label = variant.name;
  return variant;
}

// Refuses what the report could not show, see study.h.
void check_tables(const Config& config, const Json& tables, const std::set<std::string>& variants) {
  if (!tables.is_array()) return config.error("tables", "must be a list");
  for (size_t i = 0; i < tables.size(); ++i) {
    const Json& table = tables[i];
    const auto refuse = [&](const std::string& what) {
      config.error("tables", fmt::format("[{}] {}", i, what));
    };
    const auto check_variant = [&](const Json& holder) {
      if (!holder.contains("variant")) return;
      const Json& name = holder["variant"];
      if (!name.is_string() || !variants.contains(name))
        refuse(fmt::format("names no variant: {}; variants: {}", name.dump(),
                           fmt::join(variants, ", ")));
    };
    if (!table.is_object() || !table.contains("title") || !table["title"].is_string() ||
        !table.contains("rows") || !table["rows"].is_array() ||
        table.contains("columns") == table.contains("rate_distortion")) {
      refuse("must have a title, rows, and either columns or rate_distortion");
      continue;
    }
    const bool is_curve = table.contains("rate_distortion");
    const Json& source = table[is_curve ? "rate_distortion" : "columns"];
    if (!source.is_object() || !std::all_of(source.begin(), source.end(),
                                            [](const Json& name) { return name.is_string(); })) {
      refuse("columns and rate_distortion map names to names");
      continue;
    }
    if (is_curve) check_variant(source);
    for (const Json& row : table["rows"]) {
      const auto has = [&](const char* key, auto is) { return row.contains(key) && is(row[key]); };
      const auto number = [](const Json& v) { return v.is_number(); };
      if (!row.is_object()) {
        refuse("rows must be objects");
      } else if (is_curve) {
        if (!has("steps", number) || !has("rate", number) || !has("rmse", number))
          refuse("rows of a rate_distortion table have the numbers steps, rate and rmse");
      } else if (!has("label", [](const Json& v) { return v.is_string(); }) ||
                 !has("paper", [](const Json& v) { return v.is_object(); })) {
        refuse("rows have a label, the paper's values and perhaps a variant");
      } else {
        check_variant(row);
      }
    }
  }
}

// Every combination of the axes' values.
std::vector<StudyVariant> unroll(const Config& config, const Json& grid) {
  std::vector<StudyVariant> variants = {StudyVariant{}};
  for (const auto& [key, values] : grid.items()) {
    if (!values.is_array() || values.empty()) {
      config.error("grid", fmt::format("'{}' must be a list of values", key));
      continue;
    }
    std::vector<StudyVariant> next;
    for (const StudyVariant& prefix : variants)
      for (const Json& value : values) {
        StudyVariant v = prefix;
        v.set.push_back(key + "=" + value.dump());
        const std::string leaf = key.substr(key.rfind('.') + 1);
        std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        std::replace_if(
            text.begin(), text.end(),
            [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '-'; }, '_');
        v.name += fmt::format("{}{}={}", v.name.empty() ? "" : ",", leaf, text);
        v.label = v.name;
        next.push_back(std::move(v));
      }
    variants = std::move(next);
  }
  return variants;
}

}  // namespace

StudyFile StudyFile::read(const std::string& path) {
  const Config config(ConfigSource::parse_file(path));
  StudyFile study;
  study.name = config.string("name", required, "of the study and of its folder");
  study.title = config.string("title", study.name, "for the report");
  study.note = config.string("note", "", "printed under the table");
  study.base = config.json("base", Json::object(), "the experiment that variants change");
  study.seeds = config.integers("seeds", std::vector<int64_t>{0}, 0, kMaxInteger, "one run each");
  const Json variants = config.json("variants", Json::array(), "changes to the base");
  const Json grid = config.json("grid", Json::object(), "axes whose combinations are run");
  study.columns =
      config.strings("columns", std::vector<std::string>{"nll_test"}, "metrics in the table");
  study.tables = config.json("tables", Json::array(), "tables of the paper, for the report");
  study.baseline = config.string("baseline", "", "variant to compare with; default: the first");
  study.interval = config.choice("interval", "t", {"t", "bca"},
                                 "95 % intervals of means: Student's t or the bootstrap") == "t"
                       ? IntervalMethod::kT
                       : IntervalMethod::kBca;
  study.common_random_numbers =
      config.boolean("common_random_numbers", true,
                     "runs of one seed share weights, data order, timesteps, noise and x_T");
  if (!is_file_name(study.name)) config.error("name", "must be usable as a folder's name");
  if (!study.base.is_object()) config.error("base", "must be an object");
  if (!variants.is_array() || !grid.is_object() || variants.empty() == grid.empty()) {
    config.error("variants", "either a list of variants or a grid must be given, not both");
  } else if (!grid.empty()) {
    study.variants = unroll(config, grid);
  } else {
    for (size_t i = 0; i < variants.size(); ++i)
      study.variants.push_back(read_variant(config, variants[i], i));
  }
  std::set<std::string> names;
  for (const StudyVariant& variant : study.variants)
    if (!names.insert(variant.name).second)
      config.error("variants", fmt::format("two are called '{}'", variant.name));
  if (study.baseline.empty() && !study.variants.empty()) study.baseline = study.variants[0].name;
  if (!study.variants.empty() && !names.contains(study.baseline))
    config.error("baseline", fmt::format("names no variant: '{}'.{} Variants: {}", study.baseline,
                                         did_you_mean(study.baseline, {names.begin(), names.end()}),
                                         fmt::join(names, ", ")));
  check_tables(config, study.tables, names);
  config.finish();
  return study;
}

Json StudyFile::to_json() const {
  Json list = Json::array();
  for (const StudyVariant& v : variants)
    list.push_back({{"name", v.name}, {"label", v.label}, {"set", v.set}, {"paper", v.paper}});
  return {{"schema", "ddpm.study/1"},
          {"name", name},
          {"title", title},
          {"note", note},
          {"base", base},
          {"seeds", seeds},
          {"variants", list},
          {"columns", columns},
          {"tables", tables},
          {"baseline", baseline},
          {"interval", name_of(interval)},
          {"common_random_numbers", common_random_numbers}};
}

}  // namespace ddpm
