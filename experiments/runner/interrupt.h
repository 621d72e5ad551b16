// Ctrl-C and friends: the first SIGINT, SIGTERM or SIGUSR1 asks the run to save and stop, the
// second of them ends it at once.
#pragma once

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

}  // namespace ddpm
