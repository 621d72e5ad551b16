// Trainer: a model, its data and its optimiser on one device, advanced step by step.
//
// A step reads nothing from the host: batch indices, flips, timesteps, noise and dropout are drawn
// on the device as functions of (seed, step), so that it can be captured once, and resumed
// anywhere. What an image draws is a function of its row in the batch, so that a batch may be
// computed in parts, whose gradients add up to those of the whole: to the last bits but not in
// them, since a kernel rounds its sum over a batch in another order than sums over parts.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "experiments/runner/experiment_config.h"
#include "framework/train/checkpoint.h"
#include "framework/train/step_runner.h"

namespace ddpm {

// The network of an experiment with its weights: what sampling and evaluation need. It may be a
// classifier (layers/unet_classifier.h), which draws nothing but guides another model.
class DiffusionModel {
 public:
  // Registers and initialises the weights, which compute in the precision of `config`; `config`
  // gives up its process and network.
  DiffusionModel(ExperimentConfig& config, const Dataset& dataset, Device device);

  // The network at inference; it shows whichever weights the parameters show. Of a network that
  // knows classes, the unconditional model, or a UserError where it never learned one.
  Model inference() const;
  // Of a batch whose row n is of class labels[n] at the time: see class_labels and write_labels.
  // Where the network knows no classes, the same as above.
  Model inference(const Tensor& labels) const;
  // The same, guided as `guidance` and `classifier` say: what images are drawn from.
  Model guided(const Tensor& labels) const;
  // Throws a UserError that begins with `what` when the network cannot be guided that much.
  void check_guidance(std::string_view what, double guidance) const;
  // Room for the classes of a batch, on the device; empty where images are drawn of none.
  Tensor class_labels(int64_t rows) const;
  static void write_labels(std::span<const int32_t> classes, Tensor& labels);
  // Those of the images first .. first + count - 1 of a seed: sampling.classes in turn.
  std::vector<int32_t> drawn_classes(int64_t first, int64_t count) const;

  Parameters parameters;
  GaussianDiffusion process;
  std::unique_ptr<Denoiser> network;
  ImageGeometry geometry;  // that the network is built for
  DType precision;         // that the network computes in
  Shape image_shape;       // (H, W, C)
  int64_t classes = 0;     // 0: the network knows none
  bool classifies;
  ConditioningOptions conditioning;
  std::unique_ptr<const DiffusionModel> classifier;  // sampling.classifier; null: none
  int64_t drawn_of;  // classes that the network or the classifier tells apart; 0: it draws of none
  std::vector<int64_t> sampled;  // sampling.classes, all of them where that is empty
  double guidance = 1;           // sampling.guidance
};

class Trainer {
 public:
  // `config` must live as long: its timestep sampler learns. With `config.distillation` the model
  // learns from the teacher, which must outlive the trainer and whose weights are not changed.
  Trainer(DiffusionModel& model, const ExperimentConfig& config, const Dataset& dataset,
          const DiffusionModel* teacher = nullptr);

  void step() {
    runner_.run();
    ++loss_steps_;
  }

  int64_t read_step() const { return state_.read_step(); }
  StepScalars read_scalars() const { return state_.read_scalars(); }
  // Mean loss of the steps since the last call of reset_loss.
  double read_mean_loss() const;
  void reset_loss();
  const Pool& pool() const { return runner_.pool(); }
  // One step with parts of another size, to learn whether it fits in memory, after a step that did
  // not. The trainer is of no use after that.
  void probe(int64_t rows);

  // What a checkpoint must hold beyond the weights; the caller adds the configuration.
  CheckpointInfo checkpoint_info() const;
  void restore(const CheckpointInfo& info);

 private:
  // Adds the gradients of the loss of some rows of the batch, each of which counts 1 / batch. In
  // the place of timesteps a distillation has its places.
  void add_gradients(const Tensor& indices, const Tensor& flips, const TimestepDraw& timesteps,
                     const Tensor& labels);
  void run_step();  // may be captured: nothing in it that must happen on the host every time

  DiffusionModel& model_;
  const DiffusionModel* teacher_;
  std::unique_ptr<Distillation::Objective> distilled_;  // null: learns from the data
  // The student with the weights of its first average, where the distillation needs one.
  struct Target {
    Parameters parameters;
    std::unique_ptr<Denoiser> network;
  };
  std::unique_ptr<Target> target_;
  TimestepSampler& timestep_sampler_;
  OptimizerOptions optimizer_;
  int64_t rows_, parts_;  // a batch is `parts_` times `rows_` images
  uint64_t seed_;
  int levels_;
  bool flip_;
  Tensor images_;  // the whole training set, u8 or f32
  Tensor labels_;  // (M) i32, or empty where the network knows no classes
  StepState state_;
  Tensor loss_sum_;  // (1)
  int64_t loss_steps_ = 0;
  StepRunner runner_;
};

// A split on the device: (M, H, W, C), u8 grey levels or continuous f32.
Tensor upload_images(const Split& split, const Shape& image_shape, Device device);

}  // namespace ddpm
