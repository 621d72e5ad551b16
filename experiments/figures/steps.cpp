#include "experiments/figures/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace ddpm {

std::vector<int64_t> evenly_spaced(int64_t first, int64_t last, int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) {
    const double share = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
    const int64_t number = first + std::llround(share * static_cast<double>(last - first));
    if (numbers.empty() || number != numbers.back()) numbers.push_back(number);
  }
  return numbers;
}

std::string depth_of(const Sampler::Visit& visit) { return fmt::format("{:.6g}", visit.t + 1); }

std::vector<float> decode_from(ReverseChain& chain, const Tensor& x, int64_t visited, int64_t first,
                               Ticker& ticker) {
  chain.start_from(x, visited, first);
  for (int64_t i = visited; i < chain.steps(); ++i) {
    chain.step();
    ticker.tick();
  }
  return chain.x().to_host<float>();
}

std::vector<int64_t> checked_depths(const std::vector<int64_t>& depths, int64_t timesteps,
                                    const std::vector<int64_t>& otherwise) {
  for (const int64_t depth : depths)
    DDPM_CHECK(depth <= timesteps, "figure.depths: {} diffusion steps of a process that has {}",
               depth, timesteps);
  return depths.empty() ? otherwise : depths;
}

}  // namespace ddpm
