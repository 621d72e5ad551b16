#include "experiments/figures/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/runner/interrupt.h"
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

int64_t visited_at(const std::vector<Sampler::Visit>& visits, int64_t depth) {
  int64_t last = 0;
  for (size_t i = 0; i < visits.size(); ++i) {
    if (!visits[i].begins_step) continue;
    last = static_cast<int64_t>(i);
    if (visits[i].t <= static_cast<double>(depth - 1)) break;
  }
  return last;
}

std::string depth_of(const Sampler::Visit& visit) { return fmt::format("{:.6g}", visit.t + 1); }

Ticker::Ticker(ProgressSink* progress, const std::string& name, int64_t total)
    : progress_(progress) {
  if (progress_) progress_->begin(name, total);
}

Ticker::~Ticker() {
  if (progress_) progress_->end();
}

void Ticker::tick() {
  ++done_;
  if (progress_) progress_->update(done_);
  if (interrupt_signal()) throw Interrupted("stopped");
}

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
