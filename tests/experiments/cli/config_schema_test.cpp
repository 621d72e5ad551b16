// The schema of a small reader, and of the experiment.
#include "experiments/cli/config_schema.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "experiments/runner/experiment_config.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

void read(const Config& config) {
  config.integer("steps", 10, 1, 100, "how many");
  config.number("rate", required, 0, kMaxNumber, "how fast", Exclude::kMin);
  const Config::Variant shape = config.variant("shape", "line", {"line", "power"}, "curve");
  if (shape.name == "power") shape.config.integer("exponent", required, 1, 9, "of x");
  config.child("inner", "more").integers("sizes", std::vector<int64_t>{1}, 1, kMaxInteger, "list");
}

TEST(ConfigSchema, SmallReader) {
  const Json expected = Json::parse(R"({
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "ddpm experiment",
    "type": "object",
    "properties": {
      "steps": {"description": "how many", "default": 10, "type": "integer",
                "minimum": 1, "maximum": 100},
      "rate": {"description": "how fast", "type": "number", "exclusiveMinimum": 0},
      "shape": {"description": "curve", "default": "line", "anyOf": [
        {"enum": ["line", "power"]},
        {"type": "object", "properties": {"name": {"const": "line"}},
         "additionalProperties": false},
        {"type": "object", "properties": {"name": {"const": "power"},
           "exponent": {"description": "of x", "type": "integer", "minimum": 1, "maximum": 9}},
         "additionalProperties": false, "required": ["exponent", "name"]}]},
      "inner": {"description": "more", "default": {}, "type": "object", "properties": {
        "sizes": {"description": "list", "default": [1], "type": "array",
                  "items": {"type": "integer", "minimum": 1}}},
        "additionalProperties": false}
    },
    "additionalProperties": false,
    "required": ["rate"]
  })");
  // Members of a JSON object have no order.
  EXPECT_EQ(nlohmann::json(config_schema(read)), nlohmann::json(expected))
      << config_schema(read).dump(2);
}

TEST(ConfigSchema, ExperimentHasTheSettingsOfEveryVariant) {
  const Json schema = config_schema([](const Config& config) { const ExperimentConfig e(config); });
  const std::string text = schema.dump();
  for (const char* key : {"\"beta_end\"", "\"images\"", "\"eta\"", "\"learning_rate\"", "\"path\""})
    EXPECT_NE(text.find(key), std::string::npos) << key;
}

}  // namespace
}  // namespace ddpm
