#include "diffusion/sampler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "diffusion/noise_levels.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

// i32 where all are whole: what every network knows.
Tensor upload_timesteps(const std::vector<Sampler::Visit>& visits, Device device) {
  const Shape shape{static_cast<int64_t>(visits.size())};
  std::vector<double> real;
  for (const Sampler::Visit& visit : visits) real.push_back(visit.t);
  const auto is_whole = [](double t) { return t == std::floor(t); };
  if (std::all_of(real.begin(), real.end(), is_whole))
    return Tensor::from_host(std::vector<int32_t>(real.begin(), real.end()), shape, device);
  return Tensor::from_host(real, shape, device);
}

}  // namespace

RandomStream initial_stream(uint64_t seed, const Tensor& counter) {
  return {seed, random_site("sample/x_T"), counter};
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

ReverseChain::ReverseChain(const GaussianDiffusion& process, const Sampler& sampler, Model model,
                           Shape shape, uint64_t seed, int64_t copies)
    : process_(process),
      model_(std::move(model)),
      copies_(copies),
      visits_(sampler.visits(process)),
      stepper_(sampler.stepper(process, shape)),
      timesteps_(upload_timesteps(visits_, process.device())),
      x_(Tensor::empty(shape, process.dtype(), process.device())),
      x0_(Tensor::like(x_)),
      noise_(Tensor::like(x_)),
      second_noise_(stepper_->needs_second_noise() ? Tensor::like(x_) : Tensor()),
      t_(Tensor::empty({shape[0]}, timesteps_.dtype(), process.device())),
      index_(Tensor::empty({shape[0]}, DType::kI32, process.device())),
      initial_(initial_stream(seed, random_counter(0, 0, process.device()))),
      stream_{seed, random_site("sample/noise"), initial_.counter},
      second_stream_{seed, random_site("sample/second_noise"), initial_.counter},
      runner_(process.device(), [this] { run_step(); }) {
  DDPM_ASSERT(copies > 0 && shape[0] % copies == 0, "{} copies in a batch {}", copies, shape);
}

void ReverseChain::start(int64_t first_image) {
  begin(0, first_image);
  fill_shared(initial_, x_);
}

void ReverseChain::start_from(const Tensor& x, int64_t visited, int64_t first_image) {
  DDPM_ASSERT(visited >= 0 && visited < steps(), "step {} of {}", visited, steps());
  DDPM_ASSERT(visits_[static_cast<size_t>(visited)].begins_step, "step {} is within another",
              visited);
  begin(visited, first_image);
  x_.copy_from(x);
}

void ReverseChain::start_noised(const Tensor& x0, int64_t visited, int64_t first_image) {
  start(first_image);
  const NoiseLevel at = NoiseLevels(process_.tables()).at_time(visits_[visited].t);
  start_from(add(scale(x0, at.signal), scale(x_, at.noise)), visited, first_image);
}

void ReverseChain::begin(int64_t visited, int64_t first_image) {
  const int64_t place[2] = {visited, first_image};
  stream_.counter.copy_from_host(place);
  stepper_->begin(visited);
}

void ReverseChain::fill_shared(const RandomStream& stream, Tensor& rows) const {
  const int64_t own = rows.shape()[0] / copies_;
  Tensor first = rows.slice(0, own);
  fill_normal(stream, first);
  for (int64_t i = 1; i < copies_; ++i) rows.slice(i * own, (i + 1) * own).copy_from(first);
}

void ReverseChain::run_step() {
  next_timestep(timesteps_, stream_.counter, index_, t_);
  fill_shared(stream_, noise_);
  if (second_noise_) fill_shared(second_stream_, second_noise_);
  const Sampler::Step next = stepper_->step({.output = model_(x_, t_),
                                             .x_t = x_,
                                             .noise = noise_,
                                             .t = t_,
                                             .index = index_,
                                             .second_noise = second_noise_});
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
