// Medians of repeated calls on a machine that may not be ours alone. A shared machine slows down
// for seconds at a time, so a probe, 4 ms of f32 multiply-adds out of registers on all threads,
// runs before and after every sample; a sample counts if both probes were within 8 % of the best
// one seen. On a GPU, which nobody shares, every sample counts.
#pragma once

#include <functional>

#include "bench/machine.h"

namespace ddpm::bench {

struct TimingOptions {
  Device device = Device::kCpu;
  bool cold = true;           // on a GPU every call finds the L2 cache without its operands
  double budget_seconds = 3;  // no new sample after that, however few were healthy
  int samples = 7;            // healthy ones wanted
};

struct Timing {
  double seconds = 0;                   // per call: the median of the healthy samples, else of all
  double best = 0;                      // the least of them
  int healthy = 0, samples = 0;         // 0 healthy: the machine was busy, the figure is a bound
  double probe_min = 0, probe_max = 0;  // FLOP/s, around the samples that `seconds` is made of
};

// Calls of `run`, after one that warms up. Short calls are timed many at a time, but cold ones.
Timing time_calls(const std::function<void()>& run, const TimingOptions& options = {});
// For work with a part that must not count: `sample` returns its own duration.
Timing time_samples(const std::function<double()>& sample, const TimingOptions& options = {});

}  // namespace ddpm::bench
