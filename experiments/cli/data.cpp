// ddpm data list | inspect: which data sets there are, and what is in one.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/registry.h"
#include "data/statistics.h"
#include "experiments/cli/command.h"
#include "experiments/runner/experiment_config.h"

namespace ddpm {
namespace {

int run_data_list(const OutputOptions& output) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const std::string& name : datasets().names()) {
    if (output.json) {
      list.push_back({{"name", name}, {"help", datasets().help(name)}});
    } else {
      fmt::print("{:<18} {}\n", name, datasets().help(name));
    }
  }
  if (output.json) print_json(list);
  return kExitOk;
}

struct InspectOptions {
  std::string name;
  ConfigOptions config;
};

int run_data_inspect(const InspectOptions& options, const OutputOptions& output) {
  ConfigSource source = options.config.source();
  if (!options.name.empty()) {
    datasets().help(options.name);  // an unknown name fails here, with the known ones
    source.set("data.name=\"" + options.name + "\"");
  }
  const Config config(std::move(source));
  const ExperimentConfig experiment(config);
  config.finish();
  const Dataset dataset = experiment.data->load();
  if (output.json) {
    print_json(describe(dataset));
  } else {
    fmt::print("{}", describe_text(dataset));
  }
  return kExitOk;
}

}  // namespace

const Command kDataListCommand = {
    {"data list",
     "[options]",
     "Lists the data sets a configuration can name. Only the embedded digits and the synthetic "
     "mixture need no files.",
     {"ddpm data list"}},
    [](CommandLine& line) -> std::function<int()> {
      return [&line] { return run_data_list(line.output()); };
    }};

const Command kDataInspectCommand = {
    {"data inspect",
     "[NAME] [options] [data.key=v ...]",
     "Loads a data set and prints what is in it. Counts, ranges, means, classes and the SHA-256 of "
     "what was read: a wrong data set is best noticed here, before it is trained on.",
     {"ddpm data inspect digits", "ddpm data inspect cifar10 data.path=cifar-10-batches-bin",
      "ddpm data inspect --config experiment.json"}},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<InspectOptions>();
      line.positional("NAME", options->name, false,
                      "a data set of 'ddpm data list'; by default that of the configuration");
      options->config.bind(line);
      return [options, &line] { return run_data_inspect(*options, line.output()); };
    }};

}  // namespace ddpm
