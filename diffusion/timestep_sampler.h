// The timesteps of a training batch.
#pragma once

#include "framework/random/random.h"

namespace ddpm {

// Independent and uniform on {0, ..., timesteps - 1}; drawn on the device. -> (N) i32
inline Tensor uniform_timesteps(const RandomStream& stream, int64_t samples, int timesteps) {
  Tensor t = Tensor::empty({samples}, DType::kI32, stream.counter.device());
  fill_randint(stream, timesteps, t);
  return t;
}

}  // namespace ddpm
