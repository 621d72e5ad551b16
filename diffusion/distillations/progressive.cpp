#include "diffusion/distillations/progressive.h"

#include <algorithm>

#include "diffusion/samplers/ddim.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"

namespace ddpm {

ProgressiveDistillation::ProgressiveDistillation(const Config& config)
    : Distillation(config),
      steps_(config.integer("steps", required, 1, 500000,
                            "DDIM steps of the student; the teacher takes twice as many")) {}

std::unique_ptr<Distillation::Objective> ProgressiveDistillation::make(
    const GaussianDiffusion& student, const GaussianDiffusion& teacher) const {
  return std::make_unique<ProgressiveObjective>(student, teacher, steps_, clip_denoised());
}

ProgressiveObjective::ProgressiveObjective(const GaussianDiffusion& student,
                                           const GaussianDiffusion& teacher, int64_t steps,
                                           bool clip_denoised)
    : student_(student), teacher_(teacher), clip_(clip_denoised) {
  DDPM_CHECK(2 * steps <= student.timesteps(),
             "distillation.steps {}: the teacher takes {} steps, but the process has only {} "
             "timesteps; at most {} can be distilled",
             steps, 2 * steps, student.timesteps(), student.timesteps() / 2);
  // The student's timesteps are every other one of the teacher's, whose first step ends between.
  const std::vector<int32_t> visited = trailing_timesteps(student.timesteps(), 2 * steps);
  std::vector<int32_t> from, middle;
  std::vector<double> step_x0, step_xt, share_first, share_second, weight;
  const NoiseLevels levels(student.tables());
  for (size_t i = 1; i < visited.size(); i += 2) {
    from.push_back(visited[i]);
    middle.push_back(visited[i - 1]);
    const NoiseLevel t = levels.at_time(visited[i]), m = levels.at_time(visited[i - 1]),
                     s = i == 1 ? kClean : levels.at_time(visited[i - 2]);
    const DdimCoefficients first = ddim_coefficients(t, m, 0), second = ddim_coefficients(m, s, 0),
                           whole = ddim_coefficients(t, s, 0);
    step_x0.push_back(first.x0);
    step_xt.push_back(first.xt);
    share_first.push_back(second.xt * first.x0 / whole.x0);
    share_second.push_back(second.x0 / whole.x0);
    weight.push_back(std::max(student.tables().snr[static_cast<size_t>(visited[i])], 1.0));
  }
  check_direct(student, from);
  const auto upload_steps = [&](const std::vector<int32_t>& t) {
    return Tensor::from_host(t, {std::ssize(t)}, student.device());
  };
  timestep_ = upload_steps(from);
  middle_ = upload_steps(middle);
  step_x0_ = student.upload(step_x0);
  step_xt_ = student.upload(step_xt);
  share_first_ = student.upload(share_first);
  share_second_ = student.upload(share_second);
  weight_ = student.upload(weight);
}

Tensor ProgressiveObjective::timesteps(const Tensor& place) const {
  return gather_labels(timestep_, place);
}

Tensor ProgressiveObjective::target(const Model& teacher, const Tensor& x_t,
                                    const Tensor& place) const {
  const auto estimate = [&](const Tensor& x, const Tensor& timesteps) {
    const Tensor x0 = x0_of(teacher_, teacher, x, gather_labels(timesteps, place));
    return clip_ ? clamp(x0, -1, 1) : x0;
  };
  const Tensor first = estimate(x_t, timestep_);
  const Tensor second = estimate(timestep_mix(step_x0_, first, step_xt_, x_t, place), middle_);
  return timestep_mix(share_first_, first, share_second_, second, place);
}

Tensor ProgressiveObjective::losses(const Distillation::Networks& networks, const Tensor& x0,
                                    const Tensor& place, const Tensor& noise) const {
  const Tensor t = timesteps(place), x_t = student_.q_sample(x0, t, noise);
  const Tensor target = this->target(networks.teacher, x_t, place);
  const Tensor error = squared_error(x0_of(student_, networks.student, x_t, t), target);
  return timestep_scale(weight_, error, place);
}

}  // namespace ddpm
