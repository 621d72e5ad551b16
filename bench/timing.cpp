#include "bench/timing.h"

#include <algorithm>
#include <vector>

namespace ddpm::bench {
namespace {

struct Sample {
  double seconds, probe_before, probe_after;
  double slowest_probe() const { return std::min(probe_before, probe_after); }
};

}  // namespace

Timing time_samples(const std::function<double()>& sample, const TimingOptions& options) {
  Machine& machine = Machine::of(options.device);
  const double begin = seconds_now();
  std::vector<Sample> samples;
  // Judged anew every time: a better probe may have shown that earlier samples were not healthy.
  const auto is_healthy = [&](const Sample& s) {
    return options.device == Device::kCuda ||
           s.slowest_probe() >= 0.92 * machine.matmul_peak(DType::kF32);
  };
  const auto healthy = [&] {
    return static_cast<int>(std::count_if(samples.begin(), samples.end(), is_healthy));
  };
  do {
    const double before = machine.probe(), seconds = sample();
    samples.push_back({seconds, before, machine.probe()});
  } while (healthy() < options.samples && seconds_now() - begin < options.budget_seconds);

  Timing timing{.healthy = healthy(), .samples = static_cast<int>(samples.size())};
  if (timing.healthy > 0) std::erase_if(samples, std::not_fn(is_healthy));
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.seconds < b.seconds; });
  timing.seconds = samples[samples.size() / 2].seconds;
  timing.best = samples.front().seconds;
  timing.probe_min = timing.probe_max = samples.front().probe_before;
  for (const Sample& s : samples) {
    timing.probe_min = std::min(timing.probe_min, s.slowest_probe());
    timing.probe_max = std::max({timing.probe_max, s.probe_before, s.probe_after});
  }
  return timing;
}

Timing time_calls(const std::function<void()>& run, const TimingOptions& options) {
  constexpr double kSampleSeconds = 0.02;
  Machine& machine = Machine::of(options.device);
  run();
  machine.start(options.cold);
  run();
  int calls = std::max(1, static_cast<int>(kSampleSeconds / machine.stop()));
  if (options.cold && options.device == Device::kCuda) calls = 1;
  return time_samples(
      [&] {
        machine.start(options.cold);
        for (int i = 0; i < calls; ++i) run();
        return machine.stop() / calls;
      },
      options);
}

}  // namespace ddpm::bench
