// ExperimentConfig: one JSON file, read strictly. Reading touches no file but the configuration
// itself. Defaults are the paper's CIFAR-10 recipe wherever the paper or its code names a value.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/registry.h"
#include "diffusion/dormand_prince.h"
#include "diffusion/registry.h"
#include "framework/config/config.h"
#include "framework/train/step_state.h"
#include "layers/denoiser.h"

namespace ddpm {

struct TrainingOptions {
  int64_t steps = 800000, batch_size = 128;
  int64_t accumulation = 1;  // parts a batch is computed in, one after the other
  // In steps; 0: never.
  int64_t log_every = 100, checkpoint_every = 5000, sample_every = 0, evaluate_every = 0;
  int64_t keep_checkpoints = 2;  // the newest
};

struct ConditioningOptions {
  bool labels = false;         // the network is told the class of an image
  double label_dropout = 0.1;  // share of the training images whose class it is not told
};

struct SamplingOptions {
  int64_t count = 64, batch_size = 64;
  // Where images are drawn of classes, since the network knows them or a classifier does: those
  // that they have in turn (empty: all), and how much more an image resembles its class than others
  // (diffusion/guidance.h).
  std::vector<int64_t> classes;
  double guidance = 1;
  std::string classifier;       // the run of a network that classifies; "": none
  std::string weights = "ema";  // "ema" (the first average), "ema_1", ..., or "raw"
};

struct EvaluationOptions {
  int64_t train_images = 1000, test_images = 1000;  // for the bound; at most that many, 0: none
  int64_t timesteps_per_image = 0;                  // of the bound; 0: all
  // Whether the likelihood under the probability flow is measured when nobody says what is, and how
  // (diffusion/flow_likelihood.h).
  bool nll_ode = false;
  OdeOptions ode;
  int64_t ode_probes = 2;
  std::string ode_dequantisation = "noise";
  int64_t samples = 0;  // for distances and ranges; 0: none
  int64_t batch_size = 64;
  std::string reference = "train";  // the split that samples are compared with, or "test"
  std::string extractor;            // "" for the one shipped for the data set, or a file
  // A file, or "" for no Inception.
  std::string inception_weights, inception_resize = "tf";
  std::string inception_statistics;  // "" for those of the reference images, or a file
};

struct ExperimentConfig {
  // Reads everything but throws nothing: call config.finish() afterwards.
  explicit ExperimentConfig(const Config& config);

  std::string name;
  // Of every random number: the configuration's seed, mixed with its stream if that has a name.
  uint64_t seed;
  std::string device;     // cpu, cuda or auto
  std::string precision;  // f32 or bf16, of the network; all around it is f32
  int threads;            // 0: all processors
  bool cpu_winograd;      // whether the CPU may use Winograd's convolutions
  std::unique_ptr<DataSource> data;
  std::unique_ptr<DenoiserOptions> model;
  ConditioningOptions conditioning;
  DiffusionVariant diffusion;
  std::unique_ptr<TimestepSampler> timestep_sampler;
  std::unique_ptr<Distillation> distillation;  // null where the network learns from the data
  OptimizerOptions optimizer;
  TrainingOptions training;
  SamplingOptions sampling;
  std::unique_ptr<Sampler> sampler;
  EvaluationOptions evaluation;
};

// A recorded configuration as this version reads it: keys that are newer than it have their
// defaults. `name` is what messages call it.
nlohmann::ordered_json with_defaults(const nlohmann::ordered_json& recorded,
                                     const std::string& name);

// What the configuration says about the CPU backend, from here on: threads and algorithms.
void apply_cpu_options(const ExperimentConfig& config);

// Where an experiment computes.
struct DeviceChoice {
  Device device = Device::kCpu;
  std::string note;  // that "auto" took the CPU, and why; empty when it did not
};
// "cpu", "cuda", or "auto": the GPU when it can be used. Throws a UserError when the device is not
// there or cannot compute in `precision`.
DeviceChoice choose_device(const std::string& name, const std::string& precision = "f32");
void announce(const DeviceChoice& choice);  // logs the note

}  // namespace ddpm
