// Ctrl-C and friends: the first SIGINT, SIGTERM or SIGUSR1 asks the run to save and stop, the
// second of them ends it at once.
#pragma once

#include "framework/core/check.h"

namespace ddpm {

// Signals are caught while one of these lives.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// The signal that arrived, or 0.
int interrupt_signal();

// Thrown by work that has nothing half done to save: what it finished before is on disk.
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace ddpm
