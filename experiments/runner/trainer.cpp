#include "experiments/runner/trainer.h"

#include "diffusion/timestep_sampler.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"
#include "framework/train/adam.h"

namespace ddpm {

DiffusionModel::DiffusionModel(ExperimentConfig& config, const Dataset& dataset, Device device)
    : process(std::move(config.diffusion), dataset.levels, DType::kF32, device),
      image_shape(dataset.image_shape) {
  const ImageGeometry geometry{image_shape[0], image_shape[1], image_shape[2],
                               process.output_channels(image_shape[2])};
  network = config.model->build(Scope(parameters), geometry);
  parameters.allocate(config.precision == "bf16" ? DType::kBf16 : DType::kF32, device, config.seed);
}

Model DiffusionModel::inference() const {
  return [this](const Tensor& x_t, const Tensor& t) { return (*network)(x_t, t); };
}

Tensor upload_images(const Split& split, const Shape& image_shape, Device device) {
  const Shape shape = image_shape.batch_of(split.count);
  return split.pixels.empty() ? Tensor::from_host(split.values, shape, device)
                              : Tensor::from_host(split.pixels, shape, device);
}

Trainer::Trainer(DiffusionModel& model, const ExperimentConfig& config, const Dataset& dataset)
    : model_(model),
      optimizer_(config.optimizer),
      rows_(config.training.batch_size / config.training.accumulation),
      parts_(config.training.accumulation),
      seed_(config.seed),
      levels_(dataset.levels),
      flip_(dataset.flip),
      images_(upload_images(dataset.train, dataset.image_shape, model.process.device())),
      state_(model.process.device()),
      loss_sum_(Tensor::zeros({1}, model.process.dtype(), model.process.device())),
      runner_(model.process.device(), [this] { run_step(); }) {
  model_.parameters.allocate_training(optimizer_.averages);
}

void Trainer::add_gradients(const Tensor& indices, const Tensor& flips, const Tensor& t) {
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
    return (*model_.network)(x_t, at, &dropout);
  };
  Tape tape;
  const Tensor loss =
      scale(mean(model_.process.training_losses(network, x0, t, noise, second_noise)),
            1 / static_cast<double>(parts_));
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
  const Tensor t = uniform_timesteps(stream("train/timestep"), batch, model_.process.timesteps());

  model_.parameters.begin_gradients();
  for (int64_t part = 0; part < parts_; ++part) {
    if (part > 0) next_rows(rows_, state_);
    const auto rows = [&](const Tensor& x) { return x ? x.view(part * rows_, {rows_}) : x; };
    add_gradients(rows(indices), rows(flips), rows(t));
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
  info.average_decay.assign(optimizer_.average_decay.begin(),
                            optimizer_.average_decay.begin() + optimizer_.averages);
  return info;
}

void Trainer::restore(const CheckpointInfo& info) {
  state_.write_step(info.step);
  const float sum = static_cast<float>(info.loss_sum);
  loss_sum_.copy_from_host(&sum);
  loss_steps_ = info.loss_steps;
}

}  // namespace ddpm
