#include "experiments/runner/interrupt.h"

#include <array>
#include <csignal>

namespace ddpm {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGUSR1};
volatile std::sig_atomic_t received = 0;
std::array<struct sigaction, kSignals.size()> previous;
int guards = 0;  // a study's guard spans those of its runs

void on_signal(int signal) {
  if (received != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  received = signal;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  if (guards++ > 0) return;
  received = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous[i]);
}

InterruptGuard::~InterruptGuard() {
  if (--guards > 0) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

int interrupt_signal() { return received; }

}  // namespace ddpm
