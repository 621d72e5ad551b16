#include "diffusion/distillation.h"

#include <cmath>
#include <vector>

#include "diffusion/host_values.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/timestep.h"

namespace ddpm {

ProgressiveTarget::ProgressiveTarget(const GaussianDiffusion& process, int64_t steps, bool clip)
    : process_(process), clip_(clip) {
  const int64_t total = process.timesteps(), teacher_steps = 2 * steps;
  DDPM_CHECK(steps >= 1 && teacher_steps <= total,
             "distillation: a student of {} steps, whose teacher takes {} of a process that has {}",
             steps, teacher_steps, total);
  const DiffusionTables& tables = process.tables();
  struct Level {
    int32_t t;
    double signal, noise;
  };
  const auto level = [&](int64_t taken) -> Level {  // after which DDIM is at the clean image
    if (taken == 0) return {-1, 1, 0};
    const auto t =
        std::llround(static_cast<double>(taken * total) / static_cast<double>(teacher_steps)) - 1;
    const auto i = static_cast<size_t>(t);
    return {static_cast<int32_t>(t), tables.signal[i], tables.noise[i]};
  };
  // Of x_0 in a step.
  const auto share = [](const Level& from, const Level& to) {
    return to.signal - to.noise / from.noise * from.signal;
  };
  std::vector<int32_t> begin, middle;
  std::vector<double> first_step, mean;
  for (int64_t i = 0; i < steps; ++i) {
    const Level end = level(2 * i), mid = level(2 * i + 1), from = level(2 * i + 2);
    begin.push_back(from.t);
    middle.push_back(mid.t);
    first_step.insert(first_step.end(), {mid.noise / from.noise, share(from, mid)});
    const double w = end.noise / mid.noise * share(from, mid) / share(from, end);
    mean.insert(mean.end(), {w, 1 - w});
  }
  const auto upload = [&](const std::vector<double>& values) {
    return write_values(values, {steps, 2}, process.dtype(), process.device());
  };
  begin_ = Tensor::from_host(begin, {steps}, process.device());
  middle_ = Tensor::from_host(middle, {steps}, process.device());
  first_step_ = upload(first_step);
  mean_ = upload(mean);
}

Tensor ProgressiveTarget::timesteps(const Tensor& level) const {
  return gather_labels(begin_, level);
}

Tensor ProgressiveTarget::teacher_x0(const Model& teacher, const Tensor& x_t,
                                     const Tensor& t) const {
  const Tensor x0 = process_.x0(process_.split(teacher(x_t, t), x_t).prediction, x_t, t);
  return clip_ ? clamp(x0, -1, 1) : x0;
}

Tensor ProgressiveTarget::x0(const Model& teacher, const Tensor& x_t, const Tensor& level) const {
  const Tensor first = teacher_x0(teacher, x_t, timesteps(level));
  const Tensor x_mid = timestep_sum(first_step_, {x_t, first}, level);
  const Tensor second = teacher_x0(teacher, x_mid, gather_labels(middle_, level));
  return timestep_sum(mean_, {first, second}, level);
}

}  // namespace ddpm
