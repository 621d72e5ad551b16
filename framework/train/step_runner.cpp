#include "framework/train/step_runner.h"

#include <utility>

namespace ddpm {

#ifndef DDPM_WITH_CUDA
struct StepRunner::Graph {};
#endif

StepRunner::StepRunner(Device device, std::function<void()> step)
    : device_(device), step_(std::move(step)), pool_(Pool::create(device)) {}

StepRunner::~StepRunner() = default;

void StepRunner::run() {
  PoolScope scope(pool_);
  step_();
  if (eager_steps_left_ > 0 && --eager_steps_left_ == 0) pool_->freeze();
}

}  // namespace ddpm
