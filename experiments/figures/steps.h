// What figures share that walk through diffusion time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "diffusion/sampler.h"
#include "experiments/runner/ticker.h"

namespace ddpm {

// `count` whole numbers, evenly spaced from `first` to `last`, both included; fewer where they
// would repeat.
std::vector<int64_t> evenly_spaced(int64_t first, int64_t last, int64_t count);

// "999", "12.5": how many diffusion steps have been taken at a visit.
std::string depth_of(const Sampler::Visit& visit);

// The images first .. first + rows / copies - 1 that a chain ends with when it starts from `x` at
// the sampler's visited timestep number `visited`: (rows, ...) on the host.
std::vector<float> decode_from(ReverseChain& chain, const Tensor& x, int64_t visited, int64_t first,
                               Ticker& ticker);

// Depths of a setting, 0 to T diffusion steps; empty: `otherwise`.
std::vector<int64_t> checked_depths(const std::vector<int64_t>& depths, int64_t timesteps,
                                    const std::vector<int64_t>& otherwise);

}  // namespace ddpm
