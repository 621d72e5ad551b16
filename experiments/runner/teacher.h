// Teacher: a trained run that a student learns from (distillation.*).
#pragma once

#include <memory>

#include "diffusion/distillation.h"
#include "experiments/runner/loaded_run.h"

namespace ddpm {

class Teacher {
 public:
  // Loads the run that `config` names, with the weights that it samples with, on the student's
  // device. A UserError where the two do not fit: images, classes, noise levels.
  Teacher(const ExperimentConfig& config, const DiffusionModel& student);

  const DistillationTarget& target() const { return *target_; }
  // The target at x_t (N, ..., C) of the level numbers (N); labels (N) where there are classes.
  Tensor x0(const Tensor& x_t, const Tensor& level, const Tensor& labels) const;
  // A UserError unless the student is the same network.
  void give_weights(Parameters& student) const;

 private:
  LoadedRun run_;
  std::unique_ptr<DistillationTarget> target_;
};

}  // namespace ddpm
