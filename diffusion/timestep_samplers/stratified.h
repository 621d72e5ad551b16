// One timestep from each of as many equal shares as the batch has images, like the low-discrepancy
// sampler of Kingma et al. 2021, but with a draw of its own in every share. Which image a row holds
// is random, so that every image sees every timestep.
#pragma once

#include "diffusion/timestep_sampler.h"
#include "framework/config/config.h"
#include "framework/ops/timestep_draw.h"

namespace ddpm {

class StratifiedTimesteps : public TimestepSampler {
 public:
  explicit StratifiedTimesteps(const Config&) {}

  TimestepDraw draw(const RandomStream& stream, int64_t samples) override {
    Tensor t = Tensor::empty({samples}, DType::kI32, stream.counter.device());
    stratify_timesteps(uniform_draws(stream, samples), timesteps(), t);
    return {t, {}};
  }
};

}  // namespace ddpm
