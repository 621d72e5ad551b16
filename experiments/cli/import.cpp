// ddpm import: a run folder from weights of diffusers.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/exchange/import_run.h"

namespace ddpm {
namespace {

struct ImportOptions {
  ConfigOptions config;
  std::string file, out, network, prefix;
  bool overwrite = false;
};

int run_import(const ImportOptions& options, const CommandLine& line) {
  const Session session(line.output(), "none");
  const ImportOutcome outcome = import_run({.file = options.file,
                                            .network = options.network,
                                            .prefix = options.prefix,
                                            .out = options.out,
                                            .overwrite = options.overwrite,
                                            .source = options.config.source(),
                                            .argv = line.argv(),
                                            .overrides = options.config.set});
  if (outcome.config_file.empty())
    spdlog::warn(
        "there is no config.json: heads, groups and image size of the network are those "
        "of the configuration, which the weights cannot confirm");
  if (line.output().json) {
    print_json({{"folder", options.out},
                {"weights_file", outcome.weights_file},
                {"config_file", outcome.config_file},
                {"prefix", outcome.prefix},
                {"weights", outcome.weights},
                {"parameters", outcome.parameters}});
  } else {
    fmt::print("{}  {} parameters from {}\n", options.out, outcome.parameters,
               outcome.weights_file);
    fmt::print("{}; here they are the raw weights and every running average, at step 0\n",
               outcome.weights.empty() ? "the file does not say whether they are raw or averaged"
                                       : "the file calls them '" + outcome.weights + "'");
  }
  return kExitOk;
}

}  // namespace

const Command kImportCommand = {
    {"import",
     "FILE RUN [options] [a.b=v ...]",
     "Makes a run folder from a U-Net of diffusers. Its weights are safetensors, .pth or .bin "
     "(told apart by content, read without running code), its network the config.json beside "
     "them; data and diffusion come from the configuration. sample, eval, figure, sweep and train "
     "--resume take the folder like that of any run. What a network of this program cannot "
     "express is refused, by key or by tensor and shape.",
     {"ddpm import ddpm-cifar10-32 runs/imported data=cifar10 data.path=cifar-10-batches-bin",
      "ddpm import unet.pth runs/imported -c digits.json --prefix ema_model."},
     "a run folder as of train, with the weights at step 0 and their origin in run.json"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ImportOptions>();
      line.positional("FILE", options->file, true, "the weights, or the folder of a UNet2DModel");
      line.positional("RUN", options->out, true, "the run folder to make");
      options->config.bind(line);
      line.text("--network", options->network, "FILE",
                "diffusers' config.json; default: beside the weights; without one, the "
                "configuration's model");
      line.text("--prefix", options->prefix, "TEXT",
                "what stands before the names in FILE; default: found");
      line.flag("--overwrite", options->overwrite, "replace the run that is in the folder");
      return [options, &line] { return run_import(*options, line); };
    }};

}  // namespace ddpm
