// What figures share that walk through diffusion time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "diffusion/sampler.h"
#include "experiments/runner/progress_sink.h"

namespace ddpm {

// `count` whole numbers, evenly spaced from `first` to `last`, both included; fewer where they
// would repeat.
std::vector<int64_t> evenly_spaced(int64_t first, int64_t last, int64_t count);

// The number of the first visit at which at most `depth` of the T diffusion steps have been taken
// and a chain can begin.
int64_t visited_at(const std::vector<Sampler::Visit>& visits, int64_t depth);
// "999", "12.5": how many diffusion steps have been taken at a visit.
std::string depth_of(const Sampler::Visit& visit);

// Counts steps of a named piece of work; ends its progress line, and the work after a signal.
class Ticker {
 public:
  Ticker(ProgressSink* progress, const std::string& name, int64_t total);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  void tick();

 private:
  ProgressSink* progress_;
  int64_t done_ = 0;
};

// The images first .. first + rows / copies - 1 that a chain ends with when it starts from `x` at
// the sampler's visited timestep number `visited`: (rows, ...) on the host.
std::vector<float> decode_from(ReverseChain& chain, const Tensor& x, int64_t visited, int64_t first,
                               Ticker& ticker);

// Depths of a setting, 0 to T diffusion steps; empty: `otherwise`.
std::vector<int64_t> checked_depths(const std::vector<int64_t>& depths, int64_t timesteps,
                                    const std::vector<int64_t>& otherwise);

}  // namespace ddpm
