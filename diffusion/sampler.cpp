#include "diffusion/sampler.h"

#include <utility>

#include "framework/ops/timestep.h"

namespace ddpm {

ReverseChain::ReverseChain(const GaussianDiffusion& process, const Sampler& sampler, Model model,
                           Shape shape, uint64_t seed, int64_t copies)
    : model_(std::move(model)),
      copies_(copies),
      step_(sampler.step(process)),
      x_(Tensor::empty(shape, process.dtype(), process.device())),
      x0_(Tensor::like(x_)),
      noise_(Tensor::like(x_)),
      t_(Tensor::empty({shape[0]}, DType::kI32, process.device())),
      initial_{seed, random_site("sample/x_T"), random_counter(0, 0, process.device())},
      stream_{seed, random_site("sample/noise"), initial_.counter},
      runner_(process.device(), [this] { run_step(); }) {
  DDPM_ASSERT(copies > 0 && shape[0] % copies == 0, "{} copies in a batch {}", copies, shape);
  const std::vector<int32_t> visited = sampler.timesteps(process);
  timesteps_ = Tensor::from_host(visited, {static_cast<int64_t>(visited.size())}, process.device());
}

void ReverseChain::start(int64_t first_image) {
  const int64_t place[2] = {0, first_image};
  stream_.counter.copy_from_host(place);
  fill_shared(initial_, x_);
}

void ReverseChain::start_from(const Tensor& x, int64_t visited, int64_t first_image) {
  DDPM_ASSERT(visited >= 0 && visited < steps(), "step {} of {}", visited, steps());
  const int64_t place[2] = {visited, first_image};
  stream_.counter.copy_from_host(place);
  x_.copy_from(x);
}

void ReverseChain::fill_shared(const RandomStream& stream, Tensor& rows) const {
  const int64_t own = rows.shape()[0] / copies_;
  Tensor first = rows.slice(0, own);
  fill_normal(stream, first);
  for (int64_t i = 1; i < copies_; ++i) rows.slice(i * own, (i + 1) * own).copy_from(first);
}

void ReverseChain::run_step() {
  next_timestep(timesteps_, stream_.counter, t_);
  fill_shared(stream_, noise_);
  const Sampler::Step next = step_(model_(x_, t_), x_, t_, noise_);
  x_.copy_from(next.x);
  x0_.copy_from(next.x0);
}

Tensor sample(ReverseChain& chain, int64_t first_image, const SampleObserver& observer) {
  chain.start(first_image);
  for (int64_t done = 1; done <= chain.steps(); ++done) {
    chain.step();
    if (observer) observer(done, chain);
  }
  return chain.x();
}

}  // namespace ddpm
