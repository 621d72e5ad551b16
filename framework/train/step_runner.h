// StepRunner: runs one step over and over. On the GPU the first calls run eagerly, then the step is
// captured once and every later call is a single graph launch; on the CPU every call is eager. The
// step may not read anything back and may not pass a changing number by value: whatever changes
// lives in device memory (StepState). Its tensors come from a pool of the runner's own.
#pragma once

#include <functional>
#include <memory>

#include "framework/core/dispatch.h"
#include "framework/core/pool.h"

namespace ddpm {

class StepRunner {
 public:
  StepRunner(Device device, std::function<void()> step);

  void run();
  const Pool& pool() const { return *pool_; }

 private:
  Device device_;
  std::function<void()> step_;
  int eager_steps_left_ = 2;  // the second run finds every block it needs in the pool
  std::shared_ptr<Pool> pool_;
  std::function<void()> replay_;  // empty while steps are eager
};

// The same step as a function that repeats it: on the GPU one launch of what `step` would launch.
// Capturing executes nothing on the device.
DDPM_KERNEL(std::function<void()> capture(const std::function<void()>& step));

}  // namespace ddpm
