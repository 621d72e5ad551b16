#include "experiments/runner/experiment_config.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/metrics/inception_input.h"
#include "framework/core/memory.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cpu/parallel.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

constexpr int64_t kMaxClasses = 1 << 20;

OptimizerOptions read_optimizer(const Config& root) {
  const Config c = root.child("optimizer", "Adam in the paper's form");
  OptimizerOptions o;
  o.learning_rate = c.number("learning_rate", o.learning_rate, 0, 10, "after the warm-up");
  o.warmup_steps = c.integer("warmup_steps", o.warmup_steps, 0, kMaxInteger,
                             "steps of linear warm-up from zero");
  o.anneal_steps = c.integer("anneal_steps", o.anneal_steps, 0, kMaxInteger,
                             "the rate falls linearly and is zero from this step on; 0: never");
  o.beta1 = c.number("beta1", o.beta1, 0, 1, "decay of the first moment", Exclude::kMax);
  o.beta2 = c.number("beta2", o.beta2, 0, 1, "decay of the second moment", Exclude::kMax);
  o.epsilon =
      c.number("epsilon", o.epsilon, 0, 1, "added to the root of the second moment", Exclude::kMin);
  o.grad_clip = c.number("grad_clip", o.grad_clip, 0, kMaxNumber,
                         "bound on the global gradient norm; 0: none");

  const Config ema = root.child("ema", "running averages of the weights");
  const std::vector<double> decays = ema.numbers("decay", std::vector<double>{0.9999}, 0, 1,
                                                 "one average for each", Exclude::kMax);
  o.average_warmup =
      ema.boolean("warmup", false, "decay min(decay, (1 + step) / (10 + step)), for short runs");
  if (decays.size() > kMaxAverages)
    ema.error("decay", fmt::format("has at most {} values, found {}", kMaxAverages, decays.size()));
  std::vector<double> sorted = decays;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    ema.error("decay", "must not name one decay twice");
  o.averages = static_cast<int>(std::min<size_t>(decays.size(), kMaxAverages));
  std::copy_n(decays.begin(), o.averages, o.average_decay.begin());
  return o;
}

TrainingOptions read_training(const Config& root) {
  const Config c = root.child("training", "the loop");
  // The step is one 32-bit word of every random stream's address.
  constexpr int64_t kMaxSteps = int64_t{1} << 31;
  TrainingOptions o;
  o.steps = c.integer("steps", o.steps, 0, kMaxSteps, "optimiser steps");
  o.batch_size = c.integer("batch_size", o.batch_size, 1, 65536, "images a step");
  o.accumulation = c.integer("accumulation", o.accumulation, 1, 65536,
                             "parts of the batch, computed one after the other: the same step in "
                             "less memory");
  if (o.batch_size % o.accumulation != 0)
    c.error("accumulation",
            fmt::format("must divide the batch_size {}, found {}", o.batch_size, o.accumulation));
  o.log_every = c.integer("log_every", o.log_every, 1, kMaxSteps, "steps a line of metrics.jsonl");
  o.checkpoint_every =
      c.integer("checkpoint_every", o.checkpoint_every, 0, kMaxSteps, "steps; 0: only at the end");
  o.sample_every =
      c.integer("sample_every", o.sample_every, 0, kMaxSteps, "steps a sample grid; 0: none");
  o.evaluate_every = c.integer("evaluate_every", o.evaluate_every, 0, kMaxSteps,
                               "steps an evaluation, and one at the end; 0: none");
  o.keep_checkpoints = c.integer("keep_checkpoints", o.keep_checkpoints, 1, 1000000, "the newest");
  return o;
}

ConditioningOptions read_conditioning(const Config& root) {
  const Config c = root.child("conditioning", "what the network is told besides x_t and t");
  ConditioningOptions o;
  o.labels = c.boolean("labels", o.labels, "the class of the image");
  o.label_dropout = c.number("label_dropout", o.label_dropout, 0, 1,
                             "share of training images whose class is withheld, so that there is "
                             "an unconditional model for guidance",
                             Exclude::kMax);
  return o;
}

SamplingOptions read_sampling(const Config& root, const ConditioningOptions& conditioning,
                              int averages) {
  const Config c = root.child("sampling", "drawing images");
  SamplingOptions o;
  o.count = c.integer("count", o.count, 1, 1 << 24, "images in a grid or an export");
  o.batch_size = c.integer("batch_size", o.batch_size, 1, 65536, "images drawn together");
  o.weights =
      c.choice("weights", averages > 0 ? "ema" : "raw", weight_names(static_cast<size_t>(averages)),
               "which weights draw and evaluate");
  o.classes = c.integers("classes", o.classes, 0, kMaxClasses - 1,
                         "numbers of the classes that images have in turn; empty: all");
  o.guidance = c.number("guidance", o.guidance, 0, 1000,
                        "by the network's own knowledge of classes or by a classifier's: 1 draws "
                        "from the classes as they are, 0 from all of them together, more "
                        "exaggerates them");
  o.classifier = c.string("classifier", "",
                          "a run of model.name unet_classifier, whose gradient guides the network, "
                          "which need not know classes; empty: none");
  if (!conditioning.labels && o.classifier.empty() && !o.classes.empty())
    c.error("classes",
            "is of networks that know classes, and this one is trained with conditioning.labels "
            "false, or of those that a sampling.classifier guides");
  return o;
}

EvaluationOptions read_evaluation(const Config& root) {
  const Config c = root.child("evaluation", "what `eval` and `ablate` measure");
  EvaluationOptions o;
  o.train_images = c.integer("train_images", o.train_images, 0, kMaxInteger,
                             "training images for the bound, at most; 0: none");
  o.test_images = c.integer("test_images", o.test_images, 0, kMaxInteger,
                            "held-out images for the bound, at most; 0: none");
  o.timesteps_per_image = c.integer("timesteps_per_image", o.timesteps_per_image, 0, 1 << 20,
                                    "timesteps of the bound each image is evaluated at; 0: all");
  o.nll_ode = c.boolean("nll_ode", o.nll_ode,
                        "also the likelihood under the probability flow (Song et al. 2021b)");
  o.ode = read_ode(c, "ode_");
  o.ode_probes = c.integer("ode_probes", o.ode_probes, 0, 1000,
                           "vectors of Hutchinson's estimate of the divergence; 0: exact, at the "
                           "cost of one for each dimension");
  o.ode_dequantisation =
      c.choice("ode_dequantisation", o.ode_dequantisation, {"noise", "uniform"},
               "how grey levels get a density: by the noise of the first timestep and the bound's "
               "decoder, or spread over their width");
  o.samples = c.integer("samples", o.samples, 0, 1 << 24, "samples for distances; 0: none");
  o.batch_size = c.integer("batch_size", o.batch_size, 1, 65536, "images evaluated together");
  o.extractor =
      c.string("extractor", "", "feature extractor: a file, or empty for the shipped one");
  o.reference = c.choice("reference", o.reference, {"train", "test"},
                         "the images that samples are compared with");
  o.inception_weights =
      c.string("inception_weights", "",
               "for FID, sFID, IS, KID: a .pth or safetensors of pytorch-fid's or torch-fidelity's "
               "Inception-v3; empty: none of them");
  o.inception_resize = c.choice("inception_resize", o.inception_resize, inception_resizes(),
                                "how images get to 299 x 299, part of the metrics' names");
  o.inception_statistics = c.string("inception_statistics", "",
                                    "a .npz with mu and sigma instead of the reference images");
  return o;
}

// Initial weights, data order, timesteps, noise, dropout, x_T: all are functions of this number and
// of what is drawn, so that runs which have it in common have them in common.
uint64_t read_seed(const Config& config) {
  const int64_t seed = config.integer("seed", 0, 0, kMaxInteger, "of every random stream");
  const std::string stream =
      config.string("stream", "",
                    "runs of one seed and one stream share their random numbers; a study without "
                    "common random numbers sets it to the variant's name");
  if (stream.empty()) return static_cast<uint64_t>(seed);
  // As many bits as a seed may have, so that JSON and HDF5 keep it.
  return std::stoull(sha256_hex(fmt::format("{}/{}", seed, stream)).substr(0, 13), nullptr, 16);
}

}  // namespace

ExperimentConfig::ExperimentConfig(const Config& config)
    : name(config.string("name", "", "for people")),
      seed(read_seed(config)),
      device(config.choice("device", "auto", {"auto", "cpu", "cuda"}, "where to compute")),
      precision(config.choice("precision", "f32", {"f32", "bf16"},
                              "of the network's activations, their gradients and its matrices")),
      threads(static_cast<int>(config.integer("threads", 0, 0, 4096, "0: all processors"))),
      cpu_winograd(config.child("cpu", "the CPU backend")
                       .boolean("winograd", true,
                                "3x3 convolutions in f32 by Winograd's algorithm, with a relative "
                                "error of ~1e-6; false: direct convolutions")),
      data(datasets().make(config, "data", "digits")),
      model(denoisers().make(config, "model", "unet")),
      conditioning(read_conditioning(config)),
      diffusion(read_diffusion(config.child("diffusion", "the process and its training"))),
      timestep_sampler(
          read_timestep_sampler(config.child("diffusion", "the process and its training"))),
      distillation(read_distillation(config)),
      optimizer(read_optimizer(config)),
      training(read_training(config)),
      sampling(read_sampling(config, conditioning, optimizer.averages)),
      sampler(read_sampler(config.child("sampling", "drawing images"))),
      evaluation(read_evaluation(config)) {}

nlohmann::ordered_json with_defaults(const nlohmann::ordered_json& recorded,
                                     const std::string& name) {
  const Config config(ConfigSource::parse_text(recorded.dump(2), name));
  const ExperimentConfig experiment(config);
  config.finish();
  return config.resolved();
}

void apply_cpu_options(const ExperimentConfig& config) {
  cpu::set_thread_count(config.threads);
  cpu::allow_winograd(config.cpu_winograd);
}

DeviceChoice choose_device(const std::string& name, const std::string& precision) {
  if (name == "cpu") return {};
  const std::string reason = memory::unavailable_reason(Device::kCuda);
  if (name == "auto" && !reason.empty())
    return {Device::kCpu, fmt::format("device auto: using the CPU: {}", reason)};
  DDPM_CHECK(reason.empty(), "device 'cuda': {}; use 'cpu' or 'auto'", reason);
  constexpr int kOldestForBf16 = 80;
  const memory::GpuInfo gpu = memory::gpu_info();
  DDPM_CHECK(precision != "bf16" || gpu.capability >= kOldestForBf16,
             "precision 'bf16': {} has compute capability {}, bf16 needs 8.0 or later; use "
             "precision 'f32' or device 'cpu'",
             gpu.name, memory::capability_name(gpu.capability));
  return {Device::kCuda, ""};
}

void announce(const DeviceChoice& choice) {
  if (choice.note.empty()) return;
  // Whoever built the program without CUDA knows.
  const bool surprising = memory::is_built_for(Device::kCuda);
  spdlog::log(surprising ? spdlog::level::info : spdlog::level::debug, choice.note);
}

}  // namespace ddpm
