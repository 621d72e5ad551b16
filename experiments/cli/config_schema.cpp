#include "experiments/cli/config_schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

class SchemaBuilder {
 public:
  explicit SchemaBuilder(const std::function<void(const Config&)>& read) : read_(read) {}

  // The object at `path` when the variants around it are chosen by `assignments`.
  Json object(const ConfigPath& path, const std::vector<std::string>& assignments) const {
    Json properties = Json::object(), required = Json::array();
    for (const ConfigEntry& entry : entries(assignments)) {
      const bool is_child = entry.path.size() == path.size() + 1 &&
                            std::equal(path.begin(), path.end(), entry.path.begin());
      if (!is_child || properties.contains(entry.path.back())) continue;
      properties[entry.path.back()] = value(entry, assignments);
      if (entry.default_json.empty()) required.push_back(entry.path.back());
    }
    Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = required;
    return schema;
  }

 private:
  std::vector<ConfigEntry> entries(const std::vector<std::string>& assignments) const {
    ConfigSource source;
    for (const std::string& assignment : assignments) source.set(assignment);
    const Config config(std::move(source));
    read_(config);
    return config.entries();
  }

  Json value(const ConfigEntry& entry, const std::vector<std::string>& assignments) const {
    Json schema = Json::object();
    if (!entry.help.empty()) schema["description"] = entry.help;
    if (!entry.default_json.empty()) schema["default"] = Json::parse(entry.default_json);
    if (entry.is_variant) {
      schema["anyOf"] = variants(entry, assignments);
      return schema;
    }
    if (entry.type == "object") {
      schema.update(object(entry.path, assignments));
      return schema;
    }
    if (entry.type != "any") schema["type"] = entry.type;
    Json& scalar = entry.type == "array" ? schema["items"] : schema;
    if (entry.type == "array" && !entry.item_type.empty()) scalar["type"] = entry.item_type;
    if (!entry.choices.empty()) scalar["enum"] = entry.choices;
    const bool open_min = entry.exclude == Exclude::kMin || entry.exclude == Exclude::kBoth;
    const bool open_max = entry.exclude == Exclude::kMax || entry.exclude == Exclude::kBoth;
    if (!entry.min.empty())
      scalar[open_min ? "exclusiveMinimum" : "minimum"] = Json::parse(entry.min);
    if (!entry.max.empty())
      scalar[open_max ? "exclusiveMaximum" : "maximum"] = Json::parse(entry.max);
    return schema;
  }

  // The short form "name", then the long form of each name.
  Json variants(const ConfigEntry& entry, std::vector<std::string> assignments) const {
    Json forms = Json::array({{{"enum", entry.choices}}});
    assignments.emplace_back();
    for (const std::string& name : entry.choices) {
      assignments.back() = dotted(entry.path) + ".name=\"" + name + "\"";
      Json form = object(entry.path, assignments);
      form["properties"]["name"] = {{"const", name}};
      // Only the default's long form may leave the name out.
      const bool is_default = entry.default_json == Json(name).dump();
      const Json required = form.value("required", Json::array());
      const bool listed = std::find(required.begin(), required.end(), "name") != required.end();
      if (!is_default && !listed) form["required"].push_back("name");
      forms.push_back(std::move(form));
    }
    return forms;
  }

  const std::function<void(const Config&)>& read_;
};

}  // namespace

Json config_schema(const std::function<void(const Config&)>& read) {
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"title", "ddpm experiment"}};
  schema.update(SchemaBuilder(read).object({}, {}));
  return schema;
}

}  // namespace ddpm
