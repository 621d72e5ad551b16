// ddpm extractor: trains the classifier in whose features samples are compared with data.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/metrics/extractor_training.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

struct ExtractorOptions {
  ConfigOptions config;
  std::string out, progress = "auto";
};

int run_extractor(const ExtractorOptions& options, const OutputOptions& output) {
  DDPM_CHECK(!options.out.empty(), "--out is needed: the HDF5 file to write");
  Session session(output, options.progress);
  const Config config(options.config.source());
  const ExtractorInfo info = train_extractor(config, options.out, &session.progress);
  if (output.json) {
    print_json({{"file", options.out},
                {"name", info.name},
                {"dataset", info.dataset},
                {"test_accuracy", info.test_accuracy}});
  } else {
    fmt::print("{}: {} of '{}', {:.2f} % of the held-out images right\n", options.out, info.name,
               info.dataset, 100 * info.test_accuracy);
  }
  return kExitOk;
}

}  // namespace

const Command kExtractorCommand = {
    {"extractor",
     "--config FILE --out FILE [options] [a.b=v ...]",
     "Trains a feature extractor, a small classifier of a labelled data set. Distances measured "
     "with it are called fd_<name> and kid_<name>: numbers of two extractors cannot be compared.",
     {"ddpm extractor -c experiments/extractors/digits.json --out digits.h5",
      "ddpm eval runs/cifar evaluation.extractor=cifar.h5 evaluation.samples=10000"},
     "FILE: HDF5 with the weights, the configuration and the accuracy"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<ExtractorOptions>();
      options->config.bind(line);
      line.text("-o,--out", options->out, "FILE", "the HDF5 file to write");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      bind_progress(line, options->progress);
      return [options, &line] { return run_extractor(*options, line.output()); };
    }};

}  // namespace ddpm
