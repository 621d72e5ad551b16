#include "experiments/exchange/import_run.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/exchange/diffusers_config.h"
#include "experiments/exchange/diffusers_files.h"
#include "experiments/exchange/diffusers_weights.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/result.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/trainer.h"
#include "framework/io/sha256.h"
#include "framework/io/tensor_file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string find_weights(const std::string& path) {
  if (!fs::is_directory(path)) return path;
  for (const char* name : {kDiffusersWeights, kDiffusersPickle})
    if (fs::exists(fs::path(path) / name)) return fs::path(path) / name;
  fail_user("{}: holds neither {} nor {}", path, kDiffusersWeights, kDiffusersPickle);
}

std::string find_config(const ImportRequest& request, const std::string& weights_file) {
  if (!request.network.empty()) return request.network;
  const fs::path beside = fs::path(weights_file).parent_path() / kDiffusersConfig;
  return fs::exists(beside) ? beside.string() : "";
}

// The network of config.json as `model` of the configuration, which may repeat but not contradict
// it; dropout, which is no part of the weights, is the user's.
void set_model(ConfigSource& source, const UNetOptions& options, const std::string& config_file) {
  if (const Json* given = source.find({"model"}); given && given->is_string())
    source.expand_variant({"model"});
  const Json model = model_config(options);
  for (const auto& [key, value] : model.items()) {
    const Json* given = source.find({"model", key});
    DDPM_CHECK(!given || key == "dropout" || *given == value,
               "'model.{}' is {} in the configuration, but {} in {}", key, given->dump(),
               value.dump(), config_file);
    if (!given) source.set(fmt::format("model.{}={}", key, value.dump()));
  }
}

void check_images(const ImageGeometry& image, const std::string& config_file,
                  const Dataset& dataset) {
  const Shape expected{image.height, image.width, image.channels};
  DDPM_CHECK(dataset.image_shape == expected,
             "{}: the network is for images of shape {}, those of data '{}' have {}; data=NAME "
             "chooses others, data.size and data.channels convert them",
             config_file, expected, dataset.name, dataset.image_shape);
}

// What save_checkpoint needs of a run at its first step.
CheckpointInfo first_step(const ExperimentConfig& config, const Json& resolved) {
  CheckpointInfo info;
  info.seed = config.seed;
  info.config_json = resolved.dump();
  info.config_hash = config_hash(resolved);
  info.ddpm_version = program_version();
  info.git_describe = git_describe();
  const OptimizerOptions& o = config.optimizer;
  info.average_decay.assign(o.average_decay.begin(), o.average_decay.begin() + o.averages);
  return info;
}

void write_run(const ImportRequest& request, const RunFolder& folder, const Json& resolved,
               const Dataset& dataset, const Json& imported, int64_t parameters) {
  const DeviceChoice cpu;
  TrainRequest run;
  run.out = request.out;
  run.overrides = request.overrides;
  Json result = new_result(run, resolved, dataset, cpu);
  result["status"] = name_of(RunStatus::kCompleted);
  result["imported"] = imported;
  result["metrics"]["parameters"] = parameters;
  result["finished"] = utc_now();
  folder.write_json("result.json", result);
  folder.write_json("run.json", {{"schema", "ddpm.run/1"},
                                 {"status", result["status"]},
                                 {"argv", request.argv},
                                 {"overrides", request.overrides},
                                 {"imported", imported},
                                 {"git", git_json()},
                                 {"host", host_json()},
                                 {"device", device_json(cpu)},
                                 {"build", build_json()},
                                 {"written", utc_now()}});
}

}  // namespace

ImportOutcome import_run(ImportRequest request) {
  ImportOutcome outcome;
  outcome.weights_file = find_weights(request.file);
  outcome.config_file = find_config(request, outcome.weights_file);
  Unet2dModel model;
  if (!outcome.config_file.empty()) {
    model = read_unet2d_config(outcome.config_file);
    set_model(request.source, model.options, outcome.config_file);
  }
  const Config reader(std::move(request.source));
  ExperimentConfig config(reader);
  reader.finish();
  const Json resolved = reader.resolved();
  const auto* options = dynamic_cast<const UNetOptions*>(config.model.get());
  DDPM_CHECK(options, "model: only a 'unet' can be imported from diffusers");
  DDPM_CHECK(!config.conditioning.labels,
             "conditioning.labels: only unconditional networks are imported from diffusers");
  const auto levels = static_cast<int64_t>(options->channel_multipliers.size());
  apply_cpu_options(config);
  const Dataset dataset = config.data->load();
  if (!outcome.config_file.empty()) check_images(model.image, outcome.config_file, dataset);

  // The network is compared with the file before a byte is allocated for its weights.
  const NamedTensors file = read_tensor_file(outcome.weights_file);
  outcome.prefix = request.prefix.empty() ? diffusers_prefix(file) : request.prefix;
  const Shape& image = dataset.image_shape;
  Parameters planned;
  options->build(Scope(planned), {image[0], image[1], image[2],
                                  config.diffusion.variance->learned() ? 2 * image[2] : image[2]});
  const std::vector<Tensor> found = find_diffusers(file, outcome.prefix, planned, levels);

  CheckpointInfo info = first_step(config, resolved);
  DiffusionModel imported(config, dataset, Device::kCpu);
  from_diffusers(found, imported.parameters);
  imported.parameters.allocate_training(config.optimizer.averages);
  outcome.parameters = imported.parameters.count();
  const auto said = file.metadata.find("weights");
  outcome.weights = said == file.metadata.end() ? "" : said->second;

  const RunFolder folder = RunFolder::create(request.out, request.overwrite);
  folder.write_json("config.json", resolved);
  const std::string checkpoint = folder.checkpoint(0);
  save_checkpoint(checkpoint, info, imported.parameters);
  publish_latest(folder.checkpoints(), fs::path(checkpoint).filename(), 0);
  write_run(request, folder, resolved, dataset,
            {{"file", outcome.weights_file},
             {"sha256", sha256_file(outcome.weights_file)},
             {"network", outcome.config_file},
             {"prefix", outcome.prefix},
             {"metadata", file.metadata}},
            outcome.parameters);
  return outcome;
}

}  // namespace ddpm
