// Independent and uniform (DDPM algorithm 1).
#pragma once

#include "diffusion/timestep_sampler.h"
#include "framework/config/config.h"

namespace ddpm {

class UniformTimesteps : public TimestepSampler {
 public:
  explicit UniformTimesteps(const Config&) {}

  TimestepDraw draw(const RandomStream& stream, int64_t samples) override {
    return {uniform_timesteps(stream, samples, timesteps()), {}};
  }
};

}  // namespace ddpm
