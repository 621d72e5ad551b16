#include "experiments/runner/teacher.h"

#include <algorithm>

namespace ddpm {

Teacher::Teacher(const ExperimentConfig& config, const DiffusionModel& student)
    : run_(config.distillation.teacher, "",
           {fmt::format("device={}", name_of(student.process.device())),
            fmt::format("threads={}", config.threads),
            fmt::format("cpu.winograd={}", config.cpu_winograd)}) {
  const std::string& path = config.distillation.teacher;
  const GaussianDiffusion &process = run_.model->process, &own = student.process;
  DDPM_CHECK(run_.model->image_shape == student.image_shape && process.levels() == own.levels(),
             "distillation.teacher {}: draws images {} of {} grey levels, the student's data have "
             "images {} of {}",
             path, run_.model->image_shape, process.levels(), student.image_shape, own.levels());
  DDPM_CHECK(run_.model->classes == student.classes,
             "distillation.teacher {}: knows {} classes, the student is to know {} "
             "(conditioning.labels)",
             path, run_.model->classes, student.classes);
  DDPM_CHECK(process.tables().beta == own.tables().beta,
             "distillation.teacher {}: its noise levels are not the student's; "
             "diffusion.timesteps, schedule and zero_terminal_snr must be those of its config.json",
             path);
  if (config.distillation.method == "progressive")
    target_ = std::make_unique<ProgressiveTarget>(process, config.distillation.steps,
                                                  /*clip=*/process.levels() > 0);
  else
    target_ = std::make_unique<OutputTarget>(process);
}

Tensor Teacher::x0(const Tensor& x_t, const Tensor& level, const Tensor& labels) const {
  const Model network = [&](const Tensor& x, const Tensor& t) {
    return (*run_.model->network)(x, t, labels);
  };
  return target_->x0(network, x_t, level);
}

void Teacher::give_weights(Parameters& student) const {
  const Parameters& own = run_.model->parameters;
  const auto same = [](const Parameters::Slot& a, const Parameters::Slot& b) {
    return a.path == b.path && a.shape == b.shape;
  };
  DDPM_CHECK(std::equal(own.slots().begin(), own.slots().end(), student.slots().begin(),
                        student.slots().end(), same),
             "distillation.start teacher: the student is another network than {}; fresh begins "
             "with weights of its own",
             run_.folder.path());
  student.master.copy_from(own.master);
  student.use_master();
}

}  // namespace ddpm
