#include "framework/ops/timestep_draw.h"

namespace ddpm {

LossHistory::LossHistory(int64_t timesteps, int64_t length, Device device)
    : losses(Tensor::zeros({timesteps, length}, DType::kF32, device)),
      counts(Tensor::zeros({timesteps}, DType::kI32, device)) {}

void stratify_timesteps(const Tensor& u, int64_t timesteps, Tensor& t) {
  DDPM_ASSERT(u.shape() == t.shape() && u.dtype() == DType::kF64, "stratify: u is {} {}, t {}",
              name_of(u.dtype()), u.shape(), t.shape());
  DDPM_DISPATCH(t.device(), stratify(u, timesteps, t));
}

void mirror_timesteps(int64_t timesteps, Tensor& t) {
  DDPM_DISPATCH(t.device(), mirror(timesteps, t));
}

void record_losses(const Tensor& t, const Tensor& losses, LossHistory& history) {
  DDPM_ASSERT(t.shape() == losses.shape() && losses.dtype() == DType::kF32,
              "record_losses: t is {}, losses are {} {}", t.shape(), name_of(losses.dtype()),
              losses.shape());
  DDPM_DISPATCH(t.device(), record(t, losses, history));
}

void draw_by_second_moment(const LossHistory& history, double uniform_share, const Tensor& u,
                           Tensor& t, Tensor& weights) {
  Tensor roots = Tensor::empty(history.counts.shape(), DType::kF64, t.device());
  Tensor cumulative = Tensor::like(roots);
  DDPM_DISPATCH(t.device(), second_moment_roots(history, roots));
  DDPM_DISPATCH(t.device(), cumulate(roots, uniform_share, cumulative));
  DDPM_DISPATCH(t.device(), draw_from(cumulative, u, t, weights));
}

namespace cpu {

void stratify(const Tensor& u, int64_t timesteps, Tensor& t) {
  for (int64_t n = 0; n < t.numel(); ++n)
    t.data<int32_t>()[n] = math::stratified(u.data<double>()[n], n, t.numel(), timesteps);
}

void mirror(int64_t timesteps, Tensor& t) {
  int32_t* steps = t.data<int32_t>();
  const int64_t half = (t.numel() + 1) / 2;
  for (int64_t n = half; n < t.numel(); ++n)
    steps[n] = static_cast<int32_t>(timesteps - 1 - steps[n - half]);
}

void record(const Tensor& t, const Tensor& losses, LossHistory& history) {
  const int64_t length = history.losses.shape()[1];
  for (int64_t n = 0; n < t.numel(); ++n) {
    const float loss = losses.data<float>()[n];
    const int32_t step = t.data<int32_t>()[n];
    if (!std::isfinite(loss)) continue;
    const int64_t slot = math::next_slot(history.counts.data<int32_t>()[step], length);
    history.losses.data<float>()[step * length + slot] = loss;
  }
}

void second_moment_roots(const LossHistory& history, Tensor& roots) {
  const int64_t length = history.losses.shape()[1];
  for (int64_t t = 0; t < roots.numel(); ++t)
    roots.data<double>()[t] = math::second_moment_root(history.losses.data<float>() + t * length,
                                                       history.counts.data<int32_t>()[t], length);
}

void cumulate(const Tensor& roots, double uniform_share, Tensor& cumulative) {
  math::cumulate(roots.data<double>(), roots.numel(), uniform_share, cumulative.data<double>());
}

void draw_from(const Tensor& cumulative, const Tensor& u, Tensor& t, Tensor& weights) {
  const double* sums = cumulative.data<double>();
  for (int64_t n = 0; n < t.numel(); ++n) {
    const int32_t step = math::draw_from(sums, cumulative.numel(), u.data<double>()[n]);
    t.data<int32_t>()[n] = step;
    weights.data<float>()[n] = math::draw_weight(sums, cumulative.numel(), step);
  }
}

}  // namespace cpu
}  // namespace ddpm
