#include "diffusion/distillation.h"

#include <cmath>

namespace ddpm {

Distillation::Distillation(const Config& config)
    : teacher_(config.string("teacher", required, "the run folder of the teacher")),
      teacher_sha256_(config.string("teacher_sha256", "",
                                    "of the teacher's checkpoint, which must then be that one; "
                                    "'ddpm distill' writes it")),
      clip_denoised_(config.boolean("clip_denoised", true,
                                    "the teacher's x_0 to [-1, 1], as in its sampler")) {}

std::unique_ptr<Distillation::Objective> Distillation::objective(
    const GaussianDiffusion& student, const GaussianDiffusion& teacher) const {
  DDPM_CHECK(student.tables().alpha_bar == teacher.tables().alpha_bar,
             "distillation.teacher {}: its noise levels (diffusion.timesteps {}, and its "
             "diffusion.schedule) are not those of the student (diffusion.timesteps {})",
             teacher_, teacher.timesteps(), student.timesteps());
  return make(student, teacher);
}

Tensor x0_of(const GaussianDiffusion& process, const Model& model, const Tensor& x,
             const Tensor& t) {
  return process.x0(process.split(model(x, t), x).prediction, x, t);
}

void check_direct(const GaussianDiffusion& student, const std::vector<int32_t>& timesteps) {
  for (const int32_t t : timesteps) {
    const double gain = std::abs(student.parameterization().at(student.tables(), t).x0_from_output);
    DDPM_CHECK(gain < 1 + 1e-9,
               "diffusion.parameterization: at t = {} the error of this one is {:.3g} times as "
               "large in x_0, and a student of few steps cannot make up for it later; 'velocity' "
               "and 'x0' can be distilled. 'ddpm distill RUN --method output "
               "diffusion.parameterization=velocity' makes such a teacher of any run",
               t, gain);
  }
}

}  // namespace ddpm
