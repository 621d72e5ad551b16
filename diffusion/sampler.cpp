#include "diffusion/sampler.h"

#include <utility>

#include "framework/ops/timestep.h"

namespace ddpm {

ReverseChain::ReverseChain(const GaussianDiffusion& process, const Sampler& sampler, Model model,
                           Shape shape, uint64_t seed)
    : model_(std::move(model)),
      step_(sampler.step(process)),
      x_(Tensor::empty(shape, process.dtype(), process.device())),
      x0_(Tensor::like(x_)),
      noise_(Tensor::like(x_)),
      t_(Tensor::empty({shape[0]}, DType::kI32, process.device())),
      initial_{seed, random_site("sample/x_T"), random_counter(0, 0, process.device())},
      stream_{seed, random_site("sample/noise"), initial_.counter},
      runner_(process.device(), [this] { run_step(); }) {
  const std::vector<int32_t> visited = sampler.timesteps(process);
  timesteps_ = Tensor::from_host(visited, {static_cast<int64_t>(visited.size())}, process.device());
}

void ReverseChain::start(int64_t first_image) {
  const int64_t place[2] = {0, first_image};
  stream_.counter.copy_from_host(place);
  fill_normal(initial_, x_);
}

void ReverseChain::run_step() {
  next_timestep(timesteps_, stream_.counter, t_);
  fill_normal(stream_, noise_);
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
