#include "experiments/metrics/extractor_training.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/runner/experiment_config.h"
#include "experiments/runner/trainer.h"
#include "framework/autograd/tape.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/losses.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"
#include "framework/train/adam.h"

namespace ddpm {
namespace {

void check_labels(const Dataset& dataset, const Split& split, const char* which) {
  DDPM_CHECK(split.count > 0 && !split.labels.empty(),
             "data '{}' cannot train an extractor: its {} split has {} images and {} labels",
             dataset.name, which, split.count, split.labels.size());
}

class ExtractorTrainer {
 public:
  ExtractorTrainer(const ExtractorConfig& config, const Dataset& dataset, Device device)
      : config_(config),
        levels_(dataset.levels),
        flip_(dataset.flip),
        classifier_(Scope(parameters_), config.model, dataset.image_shape,
                    static_cast<int64_t>(dataset.class_names.size())),
        images_(upload_images(dataset.train, dataset.image_shape, device)),
        labels_(Tensor::from_host(dataset.train.labels, {dataset.train.count}, device)),
        loss_(Tensor::zeros({1}, DType::kF32, device)),
        state_(device),
        runner_(device, [this] { run_step(); }) {
    parameters_.allocate(DType::kF32, device, config.seed);
    parameters_.allocate_training(config.optimizer.averages);
  }

  void step() { runner_.run(); }
  float read_loss() const { return loss_.to_host<float>()[0]; }
  bool diverged() const { return state_.read_scalars().first_nonfinite_step >= 0; }

  const Parameters& parameters() const { return parameters_; }
  // The weights that make the extractor.
  const Tensor& average() const { return parameters_.averages[0]; }
  double average_accuracy(const Split& split) {
    parameters_.use_average(0);
    const Tensor logits = map_images(split, classifier_.image_shape, levels_, images_.device(),
                                     [this](const Tensor& x) { return classifier_.logits(x); });
    parameters_.use_master();
    return accuracy(logits, split.labels);
  }

 private:
  void run_step() {
    const Device device = images_.device();
    const auto stream = [&](const char* site) {
      return RandomStream{config_.seed, random_site(site), state_.counter};
    };
    Tensor indices = Tensor::empty({config_.batch_size}, DType::kI32, device), flips;
    fill_epoch_indices(stream("extractor/order"), images_.shape()[0], indices);
    if (flip_) fill_randint(stream("extractor/flip"), 2, flips = Tensor::like(indices));
    const Tensor x = gather_images(images_, indices, flips, levels_, DType::kF32);
    const Tensor labels = gather_labels(labels_, indices);

    parameters_.begin_gradients();
    {
      Tape tape;
      const Tensor loss = mean(cross_entropy(classifier_.logits(x), labels));
      tape.backward(loss);
      loss_.copy_from(loss);
    }
    parameters_.end_gradients();
    optimizer_step(parameters_, config_.optimizer, state_);
  }

  const ExtractorConfig& config_;
  int levels_;
  bool flip_;
  Parameters parameters_;
  Classifier classifier_;
  Tensor images_;  // (M, H, W, C): the whole training set, u8 or f32
  Tensor labels_;  // (M) i32
  Tensor loss_;    // (1): of the last step
  StepState state_;
  StepRunner runner_;
};

}  // namespace

ExtractorConfig::ExtractorConfig(const Config& config)
    : name(config.string("name", required, "of the extractor; part of metric names")),
      seed(static_cast<uint64_t>(
          config.integer("seed", 0, 0, kMaxInteger, "of weights and batches"))),
      device(config.choice("device", "cpu", {"auto", "cpu", "cuda"}, "where to train")),
      data(datasets().make(config, "data", std::nullopt)),
      model(config.child("model", "the classifier")) {
  if (!is_extractor_name(name)) config.error("name", "must be lower-case letters, digits and '_'");
  const Config c = config.child("training", "Adam with a running average of the weights");
  steps = c.integer("steps", required, 1, int64_t{1} << 31, "optimiser steps");
  batch_size = c.integer("batch_size", 128, 1, 65536, "images a step");
  optimizer.learning_rate = c.number("learning_rate", 1e-3, 0, 10, "after the warm-up");
  optimizer.warmup_steps = c.integer("warmup_steps", 100, 0, kMaxInteger, "from a rate of zero");
  optimizer.average_decay[0] =
      c.number("average_decay", 0.99, 0, 1, "of the running average", Exclude::kMax);
}

bool is_extractor_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

ExtractorInfo train_extractor(const Config& config, const std::string& out,
                              ProgressSink* progress) {
  const ExtractorConfig options(config);
  config.finish();
  const Dataset dataset = options.data->load();
  check_labels(dataset, dataset.train, "training");
  check_labels(dataset, dataset.test, "held-out");
  const Device device = choose_device(options.device).device;

  ExtractorTrainer trainer(options, dataset, device);
  constexpr int64_t kReadEvery = 50;  // reading the loss waits for the device
  if (progress) progress->begin("extractor", options.steps);
  for (int64_t step = 1; step <= options.steps; ++step) {
    trainer.step();
    if (!progress) continue;
    if (step % kReadEvery == 0)
      progress->update(step, {{"loss", fmt::format("{:.4f}", trainer.read_loss())}});
    else
      progress->update(step);
  }
  if (progress) progress->end();
  if (trainer.diverged()) fail("extractor '{}': training diverged", options.name);

  const ExtractorInfo info{
      .name = options.name,
      .config_json = config.resolved().dump(),
      .dataset = dataset.name,
      .data_sha256 = dataset.train.data_sha256,
      .levels = dataset.levels,
      .image_shape = dataset.image_shape,
      .classes = static_cast<int64_t>(dataset.class_names.size()),
      .test_accuracy = trainer.average_accuracy(dataset.test),
  };
  save_extractor(out, info, trainer.parameters(), trainer.average());
  return info;
}

}  // namespace ddpm
