#include "diffusion/editing.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace ddpm {
namespace {

void walk(ReverseChain& chain, int64_t steps, const SampleObserver& observer) {
  for (int64_t done = 1; done <= steps; ++done) {
    chain.step();
    if (observer) observer(done, chain);
  }
}

}  // namespace

int64_t edit_begins(const ReverseChain& chain, double strength) {
  const auto timesteps = static_cast<double>(chain.process().timesteps());
  return visited_at(chain.visits(), std::max<int64_t>(1, std::llround(strength * timesteps)));
}

Tensor sdedit(ReverseChain& chain, const Tensor& x0, double strength, int64_t first_image,
              const SampleObserver& observer) {
  DDPM_ASSERT(strength >= 0 && strength <= 1, "strength {}", strength);
  if (strength == 0) return x0;
  if (strength == 1) return sample(chain, first_image, observer);
  const int64_t begin = edit_begins(chain, strength);
  chain.start_noised(x0, begin, first_image);
  walk(chain, chain.steps() - begin, observer);
  return chain.x();
}

Tensor bridge(ReverseChain& there, ReverseChain& back, const Tensor& x0, double strength,
              const SampleObserver& observer) {
  DDPM_ASSERT(strength >= 0 && strength <= 1, "strength {}", strength);
  if (strength == 0) return x0;
  // The way back takes the steps between the visits of the way there.
  const int64_t begin = edit_begins(back, strength);
  DDPM_ASSERT(there.steps() == back.steps() - 1, "{} steps there, {} back", there.steps(),
              back.steps());
  there.start_from(x0, 0, 0);
  walk(there, there.steps() - begin, observer);
  back.start_from(there.x(), begin, 0);
  walk(back, back.steps() - begin, observer);
  return back.x();
}

int64_t bridge_steps(const ReverseChain& there, const ReverseChain& back, double strength) {
  if (strength == 0) return 0;
  return there.steps() + back.steps() - 2 * edit_begins(back, strength);
}

}  // namespace ddpm
