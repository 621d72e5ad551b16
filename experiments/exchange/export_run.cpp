#include "experiments/exchange/export_run.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/exchange/diffusers_config.h"
#include "experiments/exchange/diffusers_files.h"
#include "experiments/exchange/diffusers_weights.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/loaded_run.h"
#include "framework/io/file.h"
#include "framework/io/safetensors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

// The one number of groups that all norms have, as diffusers wants it.
int64_t norm_groups(const UNetOptions& options, const Parameters& parameters) {
  if (options.norm_groups > 0) return options.norm_groups;
  const Parameters::Slot* first = nullptr;
  for (const Parameters::Slot& slot : parameters.slots()) {
    if (slot.shape.rank() != 1 || !slot.path.ends_with("/weight")) continue;  // not a norm's gain
    if (!first) first = &slot;
    const int64_t expected = default_norm_groups(first->shape[0]);
    const int64_t groups = default_norm_groups(slot.shape[0]);
    DDPM_CHECK(groups == expected,
               "UNet2DModel of diffusers has one number of groups for all norms; here '{}' {} has "
               "{} and '{}' {} has {}. A network trained with model.norm_groups={} can be exported",
               first->path, first->shape, expected, slot.path, slot.shape, groups, expected);
  }
  DDPM_ASSERT(first, "a U-Net has norms");
  return default_norm_groups(first->shape[0]);
}

void check_free(const std::string& weights_file, const std::string& config_file, bool overwrite) {
  for (const std::string& file : {weights_file, config_file})
    DDPM_CHECK(overwrite || !fs::exists(file), "{}: exists; --overwrite replaces it", file);
  if (!fs::exists(config_file)) return;
  // A run's folder, or another program's.
  const auto json = nlohmann::json::parse(read_text_file(config_file), nullptr, false);
  DDPM_CHECK(json.is_object() && json.contains("_class_name"),
             "{}: is not a file of diffusers and would be replaced; choose another folder",
             config_file);
}

std::string describe(const std::string& weights, const CheckpointInfo& info) {
  const int index = average_index(weights);
  if (index < 0) return weights;
  return fmt::format("{}, decay {}", weights, info.average_decay.at(static_cast<size_t>(index)));
}

}  // namespace

ExportOutcome export_run(const ExportRequest& request) {
  ExportOutcome outcome;
  const fs::path out(request.out);
  for (const char* other : {".bin", ".pth", ".pt", ".ckpt", ".h5", ".npz"})
    DDPM_CHECK(out.extension() != other,
               "{}: weights are written as safetensors; name a folder or a .safetensors file",
               request.out);
  const bool is_file = out.extension() == ".safetensors";
  outcome.weights_file = is_file ? out : out / kDiffusersWeights;
  outcome.config_file = fs::path(outcome.weights_file).parent_path() / kDiffusersConfig;
  check_free(outcome.weights_file, outcome.config_file, request.overwrite);

  const LoadedRun run(request.run, request.checkpoint,
                      {"sampling.weights=" + request.weights, "device=cpu", "precision=f32"});
  const Parameters& parameters = run.model->parameters;
  const auto* options = dynamic_cast<const UNetOptions*>(run.config->model.get());
  DDPM_CHECK(options, "{}: only a model 'unet' can be exported to diffusers", request.run);
  DDPM_CHECK(run.model->classes == 0,
             "{}: its network knows classes; only unconditional ones are exported to diffusers",
             request.run);
  Unet2dModel model{*options, {}};
  const Shape& shape = run.model->image_shape;
  model.image = {shape[0], shape[1], shape[2], run.model->process.output_channels(shape[2])};
  model.options.norm_groups = norm_groups(*options, parameters);
  const nlohmann::ordered_json config = unet2d_config(model);

  outcome.weights = describe(request.weights, run.info);
  outcome.step = run.info.step;
  outcome.parameters = parameters.count();
  const fs::path folder = fs::path(outcome.weights_file).parent_path();
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  DDPM_CHECK(!error, "{}: cannot create the folder: {}", folder.string(), error.message());
  const auto levels = static_cast<int64_t>(options->channel_multipliers.size());
  write_safetensors(outcome.weights_file, to_diffusers(parameters, levels),
                    {{"format", "pt"},
                     {"producer", "ddpm-lab " + program_version()},
                     {"weights", outcome.weights},
                     {"step", fmt::format("{}", outcome.step)},
                     {"config_hash", run.info.config_hash}});
  write_file_atomically(outcome.config_file, config.dump(2) + "\n");
  return outcome;
}

}  // namespace ddpm
