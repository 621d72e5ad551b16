// TimestepSampler: the timesteps of a training batch. However they are drawn, the weighted mean
// over a batch estimates the mean over all timesteps without bias.
#pragma once

#include <vector>

#include "framework/random/random.h"

namespace ddpm {

// t (N) i32, and what each sample's loss counts: weights (N), or empty where that is 1.
struct TimestepDraw {
  Tensor t, weights;
};

// What a sampler has learned, on the host, for checkpoints; empty for most.
struct TimestepMemory {
  std::vector<float> losses;    // (T, length)
  std::vector<int32_t> counts;  // (T)
};

class TimestepSampler {
 public:
  virtual ~TimestepSampler() = default;
  // Before the first draw; forgets what was learned.
  virtual void prepare(int timesteps, Device) { timesteps_ = timesteps; }
  virtual TimestepDraw draw(const RandomStream& stream, int64_t samples) = 0;
  // The losses of samples that were drawn, before weights. t (N) i32, losses (N) f32
  virtual void observe(const Tensor& /*t*/, const Tensor& /*losses*/) {}
  virtual TimestepMemory memory() const { return {}; }
  virtual void restore(const TimestepMemory&) {}

 protected:
  int timesteps() const { return timesteps_; }

 private:
  int timesteps_ = 0;
};

// Independent and uniform on {0, ..., timesteps - 1}; drawn on the device. -> (N) i32
inline Tensor uniform_timesteps(const RandomStream& stream, int64_t samples, int timesteps) {
  Tensor t = Tensor::empty({samples}, DType::kI32, stream.counter.device());
  fill_randint(stream, timesteps, t);
  return t;
}

// (N) f64 in [0, 1)
inline Tensor uniform_draws(const RandomStream& stream, int64_t samples) {
  Tensor u = Tensor::empty({samples}, DType::kF64, stream.counter.device());
  fill_uniform(stream, 0, 1, u);
  return u;
}

}  // namespace ddpm
