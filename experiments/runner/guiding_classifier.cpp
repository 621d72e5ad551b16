#include "experiments/runner/guiding_classifier.h"

#include <nlohmann/json.hpp>
#include <numeric>

#include "experiments/metrics/extractor.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/sampling.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/timestep.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

// Of images x_0 at timestep t with the noise of image `first` and those after it.
int64_t count_right(const DiffusionModel& model, const Tensor& x0, std::span<const int32_t> labels,
                    int32_t t, uint64_t seed, int64_t first) {
  const Device device = x0.device();
  Tensor noise = Tensor::like(x0);
  fill_normal({seed, random_site("classifier/noise"), random_counter(t, first, device)}, noise);
  const Tensor at = same_timestep(t, x0.shape()[0], device);
  const Tensor logits = (*model.network)(model.process.q_sample(x0, at, noise), at);
  return count_equal(
      likeliest(Tensor::from_host(logits.to_host<float>(), logits.shape(), Device::kCpu)), labels);
}

}  // namespace

void check_classifier(const ExperimentConfig& config) {
  const char* network = "model: a network that classifies";
  DDPM_CHECK(!config.conditioning.labels,
             "{} is not told the class: conditioning.labels must be false", network);
  DDPM_CHECK(!config.distillation, "{} has no teacher: distillation must be empty", network);
  DDPM_CHECK(config.sampling.classifier.empty(),
             "{} is guided by none: sampling.classifier must be empty", network);
  DDPM_CHECK(config.training.sample_every == 0 && config.training.evaluate_every == 0,
             "{} draws nothing: training.sample_every and training.evaluate_every must be 0",
             network);
}

std::unique_ptr<const DiffusionModel> load_classifier(const std::string& path,
                                                      const GaussianDiffusion& process,
                                                      const Dataset& dataset,
                                                      const std::string& precision) {
  const std::string what = fmt::format("sampling.classifier {}", path);
  DDPM_CHECK(RunFolder::is_run(path), "{}: is no run folder", what);
  const RunFolder folder = RunFolder::open(path);
  const std::string file = folder.file("config.json");
  ConfigSource source =
      ConfigSource::parse_text(with_defaults(folder.read_json("config.json"), file).dump(2), file);
  source.set("precision=" + precision);
  const Config reader(std::move(source));
  ExperimentConfig config(reader);
  reader.finish();
  DDPM_CHECK(config.model->classifies(),
             "{}: its network draws images; one that classifies is trained with "
             "model.name=unet_classifier",
             what);
  const std::string checkpoint = find_latest(folder.checkpoints());
  DDPM_CHECK(!checkpoint.empty(), "{}: the run has no checkpoint yet", what);
  const Json trained_on = folder.read_json("result.json")["dataset"];
  const Shape& s = dataset.image_shape;
  DDPM_CHECK(trained_on["name"] == dataset.name && trained_on["levels"] == dataset.levels &&
                 trained_on["shape"] == Json({s[0], s[1], s[2]}),
             "{}: was trained on '{}' {} of {} levels, the run draws '{}' {} of {}", what,
             trained_on["name"].get<std::string>(), trained_on["shape"].dump(),
             trained_on["levels"].dump(), dataset.name, s, dataset.levels);
  auto model = std::make_unique<DiffusionModel>(config, dataset, process.device());
  DDPM_CHECK(model->process.tables().alpha_bar == process.tables().alpha_bar,
             "{}: was trained with other noise levels: its diffusion.timesteps, diffusion.schedule "
             "and diffusion.zero_terminal_snr must be those of the run",
             what);
  load_weights(checkpoint, config.sampling.weights, model->parameters);
  return model;
}

Json classifier_accuracy(DiffusionModel& model, const Dataset& dataset, const std::string& weights,
                         uint64_t seed) {
  const Split& split = dataset.test;
  if (split.count == 0) return nullptr;
  const WeightsScope scope(model.parameters, weights);
  const Device device = model.process.device();
  const Tensor images = upload_images(split, dataset.image_shape, device);
  constexpr int kTimesteps = 10;
  constexpr int64_t kBatch = 256;
  Json timesteps = Json::array(), accuracy = Json::array();
  for (int k = 0; k < std::min(kTimesteps, model.process.timesteps()); ++k) {
    const int32_t t =
        k * model.process.timesteps() / std::min(kTimesteps, model.process.timesteps());
    int64_t right = 0;
    for (int64_t first = 0; first < split.count; first += kBatch) {
      const int64_t rows = std::min(kBatch, split.count - first);
      std::vector<int32_t> indices(static_cast<size_t>(rows));
      std::iota(indices.begin(), indices.end(), static_cast<int32_t>(first));
      const Tensor x0 = gather_images(images, Tensor::from_host(indices, {rows}, device), Tensor(),
                                      dataset.levels, model.process.dtype());
      right += count_right(model, x0, std::span(split.labels).subspan(first, rows), t, seed, first);
    }
    timesteps.push_back(t);
    accuracy.push_back(static_cast<double>(right) / static_cast<double>(split.count));
  }
  return {{"timesteps", timesteps}, {"accuracy", accuracy}};
}

}  // namespace ddpm
