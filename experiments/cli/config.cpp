// ddpm config show | check | schema: what a configuration means, whether it is right, and what may
// be written in one.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/cli/config_schema.h"
#include "experiments/runner/experiment_config.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

Config read_and_check(const ConfigOptions& options) {
  Config config(options.source());
  const ExperimentConfig experiment(config);
  config.finish();
  return config;
}

struct ShowOptions {
  ConfigOptions config;
  const OutputOptions* output = nullptr;
  bool origin = false;
};

int run_config_show(const ShowOptions& options) {
  const Config config = read_and_check(options.config);
  if (!options.origin) {
    print_json(config.resolved());
    return kExitOk;
  }
  Json list = Json::array();
  size_t width = 0;
  for (const ConfigEntry& entry : config.entries())
    if (entry.type != "object") width = std::max(width, dotted(entry.path).size());
  for (const ConfigEntry& entry : config.entries()) {
    if (entry.type == "object") continue;
    if (options.output->json) {
      list.push_back({{"key", dotted(entry.path)},
                      {"value", Json::parse(entry.value_json)},
                      {"origin", entry.origin}});
    } else {
      fmt::print("{:<{}} = {:<20} {}\n", dotted(entry.path), width, entry.value_json, entry.origin);
    }
  }
  if (options.output->json) print_json(list);
  return kExitOk;
}

int run_config_check(const ConfigOptions& options, const OutputOptions& output) {
  const std::string hash = config_hash(read_and_check(options).resolved());
  if (output.json) {
    print_json({{"valid", true}, {"config_hash", hash}});
  } else {
    fmt::print("the configuration is valid: {}\n", hash);
  }
  return kExitOk;
}

}  // namespace

const Command kConfigShowCommand = {
    {"config show",
     "[options] [a.b=v ...]",
     "Prints a configuration with every default filled in. With --origin it prints one key per "
     "line and where its value comes from: the default, a line of the file or an override.",
     {"ddpm config show -c digits.json", "ddpm config show --origin diffusion.schedule=cosine"}},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ShowOptions>();
      options->config.bind(line);
      options->output = &line.output();
      line.flag("--origin", options->origin, "one key per line, with where its value comes from");
      return [options] { return run_config_show(*options); };
    }};

const Command kConfigCheckCommand = {
    {"config check",
     "[options] [a.b=v ...]",
     "Checks a configuration and prints its hash. All errors are reported at once, each with its "
     "place; no data is read.",
     {"ddpm config check -c digits.json",
      "ddpm config check -c digits.json model.base_channels=64"}},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ConfigOptions>();
      options->bind(line);
      return [options, &line] { return run_config_check(*options, line.output()); };
    }};

const Command kConfigSchemaCommand = {
    {"config schema",
     "[options]",
     "Prints the JSON Schema (draft 7) of a configuration. Editors complete and check files with "
     "it.",
     {"ddpm config schema > ddpm.schema.json"}},
    [](CommandLine&) -> std::function<int()> {
      return [] {
        print_json(config_schema([](const Config& config) { const ExperimentConfig e(config); }));
        return kExitOk;
      };
    }};

}  // namespace ddpm
