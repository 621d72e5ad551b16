// p_t proportional to the root of E[L_t^2] over the last losses of t (Nichol & Dhariwal 2021,
// section 3.3 and eq. 18): what the authors need to train the whole bound. Uniform until every
// timestep has been seen `history` times.
#pragma once

#include <optional>

#include "diffusion/timestep_sampler.h"
#include "framework/config/config.h"
#include "framework/ops/timestep_draw.h"

namespace ddpm {

class LossSecondMomentTimesteps : public TimestepSampler {
 public:
  explicit LossSecondMomentTimesteps(const Config& config)
      : length_(config.integer("history", 10, 1, 1000, "losses remembered of each timestep")),
        uniform_share_(config.number("uniform_share", 0.001, 0, 1,
                                     "share of timesteps drawn uniformly", Exclude::kMin)) {}

  void prepare(int timesteps, Device device) override {
    TimestepSampler::prepare(timesteps, device);
    history_.emplace(timesteps, length_, device);
  }
  TimestepDraw draw(const RandomStream& stream, int64_t samples) override {
    const Device device = stream.counter.device();
    TimestepDraw drawn{Tensor::empty({samples}, DType::kI32, device),
                       Tensor::empty({samples}, DType::kF32, device)};
    draw_by_second_moment(*history_, uniform_share_, uniform_draws(stream, samples), drawn.t,
                          drawn.weights);
    return drawn;
  }
  void observe(const Tensor& t, const Tensor& losses) override {
    record_losses(t, losses, *history_);
  }
  TimestepMemory memory() const override {
    return {history_->losses.to_host<float>(), history_->counts.to_host<int32_t>()};
  }
  void restore(const TimestepMemory& memory) override {
    DDPM_CHECK(std::ssize(memory.losses) == history_->losses.numel() &&
                   std::ssize(memory.counts) == history_->counts.numel(),
               "the checkpoint remembers {} losses of {} timesteps, the configuration asks for {} "
               "of {}",
               memory.losses.size(), memory.counts.size(), history_->losses.numel(),
               history_->counts.numel());
    history_->losses.copy_from_host(memory.losses.data());
    history_->counts.copy_from_host(memory.counts.data());
  }

 private:
  int64_t length_;
  double uniform_share_;
  std::optional<LossHistory> history_;
};

}  // namespace ddpm
