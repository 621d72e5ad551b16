// Pairs t and T - 1 - t (as DDIM's code trains; Song et al. 2021).
#pragma once

#include "diffusion/timestep_sampler.h"
#include "framework/config/config.h"
#include "framework/ops/timestep_draw.h"

namespace ddpm {

class AntitheticTimesteps : public TimestepSampler {
 public:
  explicit AntitheticTimesteps(const Config&) {}

  TimestepDraw draw(const RandomStream& stream, int64_t samples) override {
    Tensor t = uniform_timesteps(stream, samples, timesteps());
    mirror_timesteps(timesteps(), t);
    return {t, {}};
  }
};

}  // namespace ddpm
