#include "experiments/runner/trainer.h"

#include <algorithm>
#include <numeric>

#include "diffusion/guidance.h"
#include "experiments/runner/guiding_classifier.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/losses.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"
#include "framework/train/adam.h"

namespace ddpm {

namespace {

// The classes of the data, all of whose images must have one: `what` needs them.
int64_t labelled_classes(const Dataset& dataset, const char* what) {
  const auto check = [&](const Split& split, const char* which) {
    DDPM_CHECK(split.count == 0 || !split.labels.empty(),
               "{}: the {} images of data '{}' have no labels", what, which, dataset.name);
  };
  check(dataset.train, "training");
  check(dataset.test, "held-out");
  return std::ssize(dataset.class_names);
}

ImageGeometry geometry_of(const ExperimentConfig& config, const GaussianDiffusion& process,
                          const Dataset& dataset) {
  const Shape& image = dataset.image_shape;
  ImageGeometry geometry{image[0], image[1], image[2], process.output_channels(image[2])};
  if (config.model->classifies()) {
    check_classifier(config);
    geometry.output_channels = labelled_classes(dataset, "model: a network that classifies");
  } else if (config.conditioning.labels) {
    geometry.classes =
        labelled_classes(dataset, "conditioning.labels (false trains an unconditional network)");
  }
  return geometry;
}

std::vector<int64_t> classes_to_draw(const std::vector<int64_t>& chosen, const Dataset& dataset,
                                     int64_t known) {
  for (const int64_t label : chosen)
    DDPM_CHECK(label < known,
               "sampling.classes: the data '{}' have the {} classes 0 ({}) to {} "
               "({}), found {}",
               dataset.name, known, dataset.class_names.front(), known - 1,
               dataset.class_names.back(), label);
  if (!chosen.empty()) return chosen;
  std::vector<int64_t> all(static_cast<size_t>(known));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

DiffusionModel::DiffusionModel(ExperimentConfig& config, const Dataset& dataset, Device device)
    : process(std::move(config.diffusion), dataset.levels, DType::kF32, device),
      geometry(geometry_of(config, process, dataset)),
      precision(config.precision == "bf16" ? DType::kBf16 : DType::kF32),
      image_shape(dataset.image_shape),
      classes(geometry.classes),
      classifies(config.model->classifies()),
      conditioning(config.conditioning),
      classifier(
          config.sampling.classifier.empty()
              ? nullptr
              : load_classifier(config.sampling.classifier, process, dataset, config.precision)),
      drawn_of(classifier ? classifier->geometry.output_channels : classes),
      sampled(classes_to_draw(config.sampling.classes, dataset, drawn_of)),
      guidance(config.sampling.guidance) {
  check_guidance("sampling.guidance", guidance);
  network = config.model->build(Scope(parameters), geometry);
  parameters.allocate(precision, device, config.seed);
}

Model DiffusionModel::inference() const {
  if (classes == 0) return [this](const Tensor& x, const Tensor& t) { return (*network)(x, t); };
  DDPM_CHECK(conditioning.label_dropout > 0,
             "the network was trained with the class of every image (conditioning.label_dropout "
             "0): it has no unconditional model, which this needs");
  const Tensor no_class =
      Tensor::from_host<int32_t>({static_cast<int32_t>(classes)}, {1}, process.device());
  return [this, no_class](const Tensor& x, const Tensor& t) {
    const Tensor same = Tensor::zeros({x.shape()[0]}, DType::kI32, x.device());
    return (*network)(x, t, gather_labels(no_class, same));
  };
}

Model DiffusionModel::inference(const Tensor& labels) const {
  if (classes == 0) return inference();
  return [this, labels](const Tensor& x, const Tensor& t) {
    return (*network)(x, t, labels.slice(0, x.shape()[0]));
  };
}

Model DiffusionModel::guided(const Tensor& labels) const {
  if (classifier) {
    const auto scores = [this](const Tensor& x, const Tensor& t) {
      return (*classifier->network)(x, t);
    };
    return guide_by_classifier(process, inference(labels), scores, labels,
                               classes == 0 ? guidance : guidance - 1);
  }
  if (classes == 0) return inference();
  return guide(
      [this](const Tensor& x, const Tensor& t, const Tensor& of) { return (*network)(x, t, of); },
      labels, static_cast<int32_t>(classes), guidance, process.dtype());
}

void DiffusionModel::check_guidance(std::string_view what, double strength) const {
  DDPM_CHECK(strength >= 0, "{} {}: is 0 or more", what, strength);
  if (classifier) return;
  DDPM_CHECK(strength == 1 || classes > 0,
             "{} {}: guidance is of networks that know classes, and this one was trained with "
             "conditioning.labels false; a classifier can guide it, sampling.classifier",
             what, strength);
  DDPM_CHECK(strength == 1 || conditioning.label_dropout > 0,
             "{} {}: with conditioning.label_dropout 0 the network learned no unconditional model "
             "to guide away from",
             what, strength);
}

Tensor DiffusionModel::class_labels(int64_t rows) const {
  return drawn_of == 0 ? Tensor() : Tensor::zeros({rows}, DType::kI32, process.device());
}

void DiffusionModel::write_labels(std::span<const int32_t> classes, Tensor& labels) {
  if (!labels) return;
  labels.slice(0, std::ssize(classes)).copy_from_host(classes.data());
}

std::vector<int32_t> DiffusionModel::drawn_classes(int64_t first, int64_t count) const {
  std::vector<int32_t> drawn;
  for (int64_t i = first; drawn_of > 0 && i < first + count; ++i)
    drawn.push_back(static_cast<int32_t>(sampled[static_cast<size_t>(i) % sampled.size()]));
  return drawn;
}

Tensor upload_images(const Split& split, const Shape& image_shape, Device device) {
  const Shape shape = image_shape.batch_of(split.count);
  return split.pixels.empty() ? Tensor::from_host(split.values, shape, device)
                              : Tensor::from_host(split.pixels, shape, device);
}

Trainer::Trainer(DiffusionModel& model, const ExperimentConfig& config, const Dataset& dataset,
                 const DiffusionModel* teacher)
    : model_(model),
      teacher_(teacher),
      timestep_sampler_(*config.timestep_sampler),
      optimizer_(config.optimizer),
      rows_(config.training.batch_size / config.training.accumulation),
      parts_(config.training.accumulation),
      seed_(config.seed),
      levels_(dataset.levels),
      flip_(dataset.flip),
      images_(upload_images(dataset.train, dataset.image_shape, model.process.device())),
      labels_(model.classes == 0 && !model.classifies
                  ? Tensor()
                  : Tensor::from_host(dataset.train.labels, {dataset.train.count},
                                      model.process.device())),
      state_(model.process.device()),
      loss_sum_(Tensor::zeros({1}, model.process.dtype(), model.process.device())),
      runner_(model.process.device(), [this] { run_step(); }) {
  DDPM_ASSERT(!config.distillation == !teacher, "a teacher and a distillation go together");
  if (teacher) distilled_ = config.distillation->objective(model.process, teacher->process);
  model_.parameters.allocate_training(optimizer_.averages);
  timestep_sampler_.prepare(distilled_ ? distilled_->places() : model_.process.timesteps(),
                            model_.process.device());
  if (!teacher || !config.distillation->needs_target()) return;
  DDPM_CHECK(optimizer_.averages > 0,
             "ema.decay: the target of this distillation is the first running average, found none");
  target_ = std::make_unique<Target>();
  target_->network = config.model->build(Scope(target_->parameters), model.geometry);
  target_->parameters.allocate(model.precision, model.process.device(), seed_);
}

void Trainer::add_gradients(const Tensor& indices, const Tensor& flips,
                            const TimestepDraw& timesteps, const Tensor& labels) {
  const Tensor x0 = gather_images(images_, indices, flips, levels_, model_.process.dtype());
  const auto normal = [&](const char* site) {
    Tensor x = Tensor::like(x0);
    fill_normal({seed_, random_site(site), state_.counter}, x);
    return x;
  };
  const Tensor noise = normal("train/noise");
  Tensor second_noise;
  if (model_.process.loss().needs_second_noise()) second_noise = normal("train/second_noise");
  const DropoutSource dropout{seed_, state_.counter};
  const Model network = [&](const Tensor& x_t, const Tensor& at) {
    return (*model_.network)(x_t, at, model_.classifies ? Tensor() : labels, &dropout);
  };
  const Model teacher = [&](const Tensor& x_t, const Tensor& at) {
    return (*teacher_->network)(x_t, at, labels);
  };
  const Model target = [&](const Tensor& x_t, const Tensor& at) {
    return (*target_->network)(x_t, at, labels);
  };
  const auto losses_of = [&](const Tensor& at) {
    if (distilled_)
      return distilled_->losses({.student = network, .teacher = teacher, .target = target}, x0, at,
                                noise);
    if (model_.classifies)
      return cross_entropy(network(model_.process.q_sample(x0, at, noise), at), labels);
    return model_.process.training_losses(network, x0, at, noise, second_noise);
  };
  Tape tape;
  Tensor losses = losses_of(timesteps.t);
  timestep_sampler_.observe(timesteps.t, losses.detach());
  if (timesteps.weights) losses = multiply(losses, timesteps.weights);
  const Tensor loss = scale(mean(losses), 1 / static_cast<double>(parts_));
  tape.backward(loss);
  loss_sum_.copy_from(add(loss_sum_, loss.detach()));
}

void Trainer::run_step() {
  const Device device = images_.device();
  const int64_t batch = rows_ * parts_;
  const auto stream = [&](const char* site) {
    return RandomStream{seed_, random_site(site), state_.counter};
  };
  const auto integers = [&] { return Tensor::empty({batch}, DType::kI32, device); };

  Tensor indices = integers(), flips;
  fill_epoch_indices(stream("train/order"), images_.shape()[0], indices);
  if (flip_) fill_randint(stream("train/flip"), 2, flips = integers());
  const TimestepDraw timesteps = timestep_sampler_.draw(stream("train/timestep"), batch);

  Tensor labels;
  if (labels_) labels = gather_labels(labels_, indices);
  if (model_.classes > 0)
    labels = withhold_labels(labels, model_.conditioning.label_dropout,
                             static_cast<int32_t>(model_.classes), stream("train/label_dropout"));

  if (target_) {
    target_->parameters.master.copy_from(model_.parameters.averages[0]);
    target_->parameters.use_master();
  }
  model_.parameters.begin_gradients();
  for (int64_t part = 0; part < parts_; ++part) {
    if (part > 0) next_rows(rows_, state_);
    const auto rows = [&](const Tensor& x) { return x ? x.view(part * rows_, {rows_}) : x; };
    add_gradients(rows(indices), rows(flips), {rows(timesteps.t), rows(timesteps.weights)},
                  rows(labels));
  }
  model_.parameters.end_gradients();
  optimizer_step(model_.parameters, optimizer_, state_);
}

void Trainer::probe(int64_t rows) {
  rows_ = rows;
  runner_ = StepRunner(images_.device(), [this] { run_step(); });
  runner_.run();
}

double Trainer::read_mean_loss() const {
  return static_cast<double>(loss_sum_.to_host<float>()[0]) / static_cast<double>(loss_steps_);
}

void Trainer::reset_loss() {
  const float zero = 0;
  loss_sum_.copy_from_host(&zero);
  loss_steps_ = 0;
}

CheckpointInfo Trainer::checkpoint_info() const {
  CheckpointInfo info;
  info.step = read_step();
  info.images_seen = info.step * rows_ * parts_;
  info.seed = seed_;
  info.loss_sum = static_cast<double>(loss_sum_.to_host<float>()[0]);
  info.loss_steps = loss_steps_;
  info.first_nonfinite_step = read_scalars().first_nonfinite_step;
  const TimestepMemory memory = timestep_sampler_.memory();
  info.timestep_losses = memory.losses;
  info.timestep_counts = memory.counts;
  info.average_decay.assign(optimizer_.average_decay.begin(),
                            optimizer_.average_decay.begin() + optimizer_.averages);
  return info;
}

void Trainer::restore(const CheckpointInfo& info) {
  state_.write_step(info.step);
  const float sum = static_cast<float>(info.loss_sum);
  loss_sum_.copy_from_host(&sum);
  loss_steps_ = info.loss_steps;
  timestep_sampler_.restore({info.timestep_losses, info.timestep_counts});
}

}  // namespace ddpm
