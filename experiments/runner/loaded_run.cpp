#include "experiments/runner/loaded_run.h"

#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "experiments/runner/build_info.h"
#include "experiments/runner/result.h"
#include "framework/io/sha256.h"
#include "framework/ops/image_batch.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

bool may_override(const std::string& key) {
  return key.starts_with("evaluation.") || key.starts_with("sampling.") || key == "seed" ||
         key == "device" || key == "precision" || key == "threads" || key == "cpu.winograd";
}

// The settings of one sampler are unknown keys to another: a run that recorded those of its own
// forgets them when asked for another one.
void forget_sampler(ConfigSource& source, const Json& recorded,
                    const std::vector<std::string>& overrides) {
  constexpr std::string_view kName = "sampling.sampler.name=";
  const std::string own = recorded["sampling"]["sampler"]["name"];
  for (const std::string& assignment : overrides)
    if (assignment.starts_with(kName) && assignment.substr(kName.size()) != own)
      source.set("sampling.sampler={}");
}

}  // namespace

LoadedRun::LoadedRun(const std::string& path, const std::string& checkpoint_file,
                     const std::vector<std::string>& overrides)
    : folder(RunFolder::open(path)) {
  const Json recorded = with_defaults(folder.read_json("config.json"), folder.file("config.json"));
  ConfigSource source = ConfigSource::parse_text(recorded.dump(2), folder.file("config.json"));
  forget_sampler(source, recorded, overrides);
  for (const std::string& assignment : overrides) source.set(assignment);
  const Config reader(std::move(source));
  config = std::make_unique<ExperimentConfig>(reader);
  reader.finish();
  const Json& resolved = reader.resolved();
  settings = config_hash({{"evaluation", resolved["evaluation"]},
                          {"sampling", resolved["sampling"]},
                          {"seed", resolved["seed"]},
                          {"stream", resolved["stream"]}});
  for (const std::string& key : differing_keys(recorded, resolved))
    DDPM_CHECK(may_override(key),
               "--set {}: only evaluation.*, sampling.*, seed, device, precision, threads and "
               "cpu.winograd can be changed for a finished run",
               key);
  sampler_name = resolved["sampling"]["sampler"]["name"];
  variance_name = resolved["diffusion"]["variance"]["name"];
  apply_cpu_options(*config);
  const DeviceChoice device = choose_device(config->device, config->precision);
  announce(device);
  dataset = config->data->load();
  DDPM_CHECK(!config->model->classifies(),
             "{}: its network classifies and draws nothing; sampling.classifier={} guides another "
             "run by it",
             path, path);
  model = std::make_unique<DiffusionModel>(*config, dataset, device.device);
  static_cast<void>(
      config->sampler->visits(model->process));  // throws if it cannot serve the model
  checkpoint = checkpoint_file.empty() ? find_latest(folder.checkpoints()) : checkpoint_file;
  DDPM_CHECK(!checkpoint.empty(), "{}: the run has no checkpoint yet", path);
  info = load_weights(checkpoint, config->sampling.weights, model->parameters);
  const Json trained =
      with_defaults(Json::parse(info.config_json, nullptr, false), checkpoint + " (config_json)");
  for (const char* part : {"model", "data", "conditioning"})
    DDPM_CHECK(trained[part] == recorded[part], "{}: its '{}' is not that of the run {}",
               checkpoint, part, path);
}

Json identity_json(const LoadedRun& run) {
  const DiffusionModel& model = *run.model;
  const auto digest = [](const DiffusionModel& of) {
    const std::vector<float> weights = of.parameters.master.to_host<float>();
    return sha256_hex(std::as_bytes(std::span(weights)));
  };
  const Json config = run.folder.read_json("config.json");
  return {{"program", git_describe()},
          {"weights", digest(model)},
          {"classifier", model.classifier ? Json(digest(*model.classifier)) : Json()},
          {"model", config["model"]},
          {"diffusion", config["diffusion"]},
          {"conditioning", config.value("conditioning", Json())},
          {"data", config["data"]},
          {"train_sha256", run.dataset.train.data_sha256},
          {"test_sha256", run.dataset.test.data_sha256},
          {"labels_sha256", {run.dataset.train.labels_sha256, run.dataset.test.labels_sha256}},
          {"seed", run.config->seed},
          {"device", name_of(model.process.device())},
          {"precision", run.config->precision},
          {"winograd", run.config->cpu_winograd}};
}

std::unique_ptr<FeatureExtractor> extractor_of(const LoadedRun& run) {
  const std::string& file = run.config->evaluation.extractor;
  const Device device = run.model->process.device();
  if (!file.empty()) {
    auto extractor = std::make_unique<FeatureExtractor>(Hdf5Reader(file), device);
    extractor->check_dataset(run.dataset);
    return extractor;
  }
  auto extractor = shipped_extractor(run.dataset.name, run.dataset.image_shape, device);
  const bool fits = extractor && extractor->info().levels == run.dataset.levels &&
                    extractor->info().data_sha256 == run.dataset.train.data_sha256;
  return fits ? std::move(extractor) : nullptr;
}

Tensor model_images(const LoadedRun& run, const Split& split, std::span<const int32_t> images) {
  const int64_t count = std::ssize(images);
  const Split part =
      select(split, run.model->image_shape, std::vector<int64_t>(images.begin(), images.end()));
  const Tensor uploaded = upload_images(part, run.model->image_shape, run.model->process.device());
  std::vector<int32_t> rows(images.size());
  std::iota(rows.begin(), rows.end(), 0);
  return gather_images(uploaded, Tensor::from_host(rows, {count}, uploaded.device()), {},
                       run.dataset.levels, run.model->process.dtype());
}

Tensor model_images(const LoadedRun& run, const Split& split, int64_t first, int64_t count) {
  std::vector<int32_t> images(static_cast<size_t>(count));
  std::iota(images.begin(), images.end(), static_cast<int32_t>(first));
  return model_images(run, split, images);
}

}  // namespace ddpm
