// ddpm export: a run's weights for diffusers.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/exchange/export_run.h"

namespace ddpm {
namespace {

int run_export(const ExportRequest& request, const OutputOptions& output) {
  const Session session(output, "none");
  const ExportOutcome outcome = export_run(request);
  if (output.json) {
    print_json({{"weights_file", outcome.weights_file},
                {"config_file", outcome.config_file},
                {"weights", outcome.weights},
                {"step", outcome.step},
                {"parameters", outcome.parameters}});
  } else {
    fmt::print("{}  {} parameters, {} weights of step {}\n{}\n", outcome.weights_file,
               outcome.parameters, outcome.weights, outcome.step, outcome.config_file);
  }
  return kExitOk;
}

}  // namespace

const Command kExportCommand = {
    {"export",
     "RUN PATH [options]",
     "Writes a run's U-Net for diffusers. The files are safetensors in the names of UNet2DModel "
     "and its config.json, and UNet2DModel.from_pretrained(PATH) loads them. The running average "
     "is written unless --weights says otherwise; the file's metadata say which. What UNet2DModel "
     "cannot express is refused; networks of less than 128 channels need model.norm_groups.",
     {"ddpm export runs/cifar10 cifar10-unet",
      "ddpm export runs/cifar10 raw/diffusion_pytorch_model.safetensors --weights raw"},
     "PATH/diffusion_pytorch_model.safetensors and PATH/config.json; or PATH itself, if it ends in "
     ".safetensors, and config.json beside it"},
    [](CommandLine& line) -> std::function<int()> {
      auto request = std::make_shared<ExportRequest>();
      line.positional("RUN", request->run, true, "a run folder");
      line.positional("PATH", request->out, true, "a folder, or a .safetensors file");
      line.text("--weights", request->weights, "NAME", "ema, ema_1, .. or raw");
      line.text("--checkpoint", request->checkpoint, "FILE", "instead of the newest");
      line.flag("--overwrite", request->overwrite, "replace an earlier export");
      return [request, &line] { return run_export(*request, line.output()); };
    }};

}  // namespace ddpm
