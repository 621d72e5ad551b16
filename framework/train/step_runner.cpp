#include "framework/train/step_runner.h"

#include <utility>

namespace ddpm {

StepRunner::StepRunner(Device device, std::function<void()> step)
    : device_(device), step_(std::move(step)), pool_(Pool::create(device)) {}

void StepRunner::run() {
  PoolScope scope(pool_);
  if (eager_steps_left_ == 0) {
    if (!replay_) DDPM_DISPATCH_RESULT(device_, replay_, capture(step_));
    replay_();
    return;
  }
  step_();
  if (--eager_steps_left_ == 0) pool_->freeze();
}

namespace cpu {

std::function<void()> capture(const std::function<void()>& step) { return step; }

}  // namespace cpu
}  // namespace ddpm
