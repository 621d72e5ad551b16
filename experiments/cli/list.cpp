// ddpm list: everything that a configuration can name, and the shipped studies.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/registry.h"
#include "diffusion/registry.h"
#include "experiments/cli/command.h"
#include "experiments/cli/studies.h"
#include "experiments/figures/figure.h"
#include "experiments/metrics/metrics.h"
#include "experiments/runner/editing.h"
#include "framework/core/check.h"
#include "layers/denoiser.h"

namespace ddpm {
namespace {

struct Item {
  std::string name, help;
};
struct Kind {
  std::string name, key;  // the key of the configuration that names one
  std::vector<Item> items;
};

template <class Interface>
Kind kind_of(const char* name, const char* key, const Registry<Interface>& registry) {
  Kind kind{name, key, {}};
  for (const std::string& item : registry.names())
    kind.items.push_back({item, registry.help(item)});
  return kind;
}

std::vector<Kind> kinds() {
  std::vector<Kind> all = {
      kind_of("schedules", "diffusion.schedule", schedules()),
      kind_of("parameterizations", "diffusion.parameterization", parameterizations()),
      kind_of("variances", "diffusion.variance", variances()),
      kind_of("losses", "diffusion.loss", losses()),
      kind_of("weightings", "diffusion.weighting", weightings()),
      kind_of("timestep_samplers", "diffusion.timestep_sampler", timestep_samplers()),
      kind_of("samplers", "sampling.sampler", samplers()),
      kind_of("distillations", "distillation", distillations()),
      kind_of("datasets", "data", datasets()),
      kind_of("models", "model", denoisers()),
  };
  Kind measured{"metrics", "metrics of samples", {}};
  for (const Metric& metric : metrics())
    measured.items.push_back({std::string(metric.name), std::string(metric.help)});
  all.push_back(std::move(measured));
  Kind drawn{"figures", "ddpm figure NAME RUN", {}};
  for (const std::string& name : figures().names()) {
    const std::vector<std::string> settings = figure_settings(name);
    const std::string keys =
        settings.empty() ? "" : fmt::format("; figure.{}", fmt::join(settings, ", figure."));
    drawn.items.push_back({name, figures().help(name) + keys});
  }
  all.push_back(std::move(drawn));
  Kind edits{"edits", "ddpm edit RUN --method NAME", {}};
  for (const EditMethod& method : edit_methods()) edits.items.push_back({method.name, method.help});
  all.push_back(std::move(edits));
  Kind studies{"studies", "ddpm ablate NAME", {}};
  for (const ShippedStudy& study : shipped_studies())
    studies.items.push_back({study.name, study.title});
  all.push_back(std::move(studies));
  return all;
}

int run_list(const std::string& wanted, const OutputOptions& output) {
  const std::vector<Kind> all = kinds();
  std::vector<std::string> names;
  for (const Kind& kind : all) names.push_back(kind.name);
  DDPM_CHECK(wanted.empty() || std::find(names.begin(), names.end(), wanted) != names.end(),
             "unknown kind '{}'; known: {}.{}", wanted, fmt::join(names, ", "),
             did_you_mean(wanted, names));
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  bool first = true;
  for (const Kind& kind : all) {
    if (!wanted.empty() && kind.name != wanted) continue;
    if (!output.json) fmt::print("{}{} ({})\n", first ? "" : "\n", kind.name, kind.key);
    first = false;
    json[kind.name] = nlohmann::ordered_json::array();
    size_t width = 0;
    for (const Item& item : kind.items) width = std::max(width, item.name.size());
    for (const Item& item : kind.items) {
      json[kind.name].push_back({{"name", item.name}, {"help", item.help}});
      if (!output.json) fmt::print("  {:<{}}  {}\n", item.name, width, item.help);
    }
  }
  if (output.json) print_json(json);
  return kExitOk;
}

}  // namespace

const Command kListCommand = {
    {"list",
     "[KIND] [options]",
     "Lists everything that a configuration can name, and the shipped studies. The key that names "
     "it stands in brackets.",
     {"ddpm list", "ddpm list schedules", "ddpm list --json"}},
    [](CommandLine& line) -> std::function<int()> {
      auto kind = std::make_shared<std::string>();
      line.positional("KIND", *kind, false,
                      "schedules, parameterizations, variances, losses, weightings, "
                      "timestep_samplers, samplers, distillations, datasets, models, metrics, "
                      "figures, edits or studies");
      return [kind, &line] { return run_list(*kind, line.output()); };
    }};

}  // namespace ddpm
