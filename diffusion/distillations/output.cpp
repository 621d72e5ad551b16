#include "diffusion/distillations/output.h"

#include "framework/ops/elementwise.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

class OutputObjective : public Distillation::Objective {
 public:
  OutputObjective(const GaussianDiffusion& student, const GaussianDiffusion& teacher, bool clip)
      : student_(student), teacher_(teacher), clip_(clip) {
    std::vector<double> from_x0, from_xt;
    for (int t = 0; t < student.timesteps(); ++t) {
      const auto c = student.parameterization().at(student.tables(), t);
      from_x0.push_back(1 / c.x0_from_output);
      from_xt.push_back(-c.x0_from_xt / c.x0_from_output);
    }
    from_x0_ = student.upload(from_x0);
    from_xt_ = student.upload(from_xt);
  }

  int places() const override { return student_.timesteps(); }
  Tensor losses(const Distillation::Networks& networks, const Tensor& x0, const Tensor& t,
                const Tensor& noise) const override {
    const Tensor x_t = student_.q_sample(x0, t, noise);
    Tensor taught = x0_of(teacher_, networks.teacher, x_t, t);
    if (clip_) taught = clamp(taught, -1, 1);
    return squared_error(student_.split(networks.student(x_t, t), x_t).prediction,
                         timestep_mix(from_x0_, taught, from_xt_, x_t, t));
  }

 private:
  const GaussianDiffusion &student_, &teacher_;
  bool clip_;
  Tensor from_x0_, from_xt_;  // (T): what the student should say, of x_0 and x_t
};

}  // namespace

std::unique_ptr<Distillation::Objective> OutputDistillation::make(
    const GaussianDiffusion& student, const GaussianDiffusion& teacher) const {
  return std::make_unique<OutputObjective>(student, teacher, clip_denoised());
}

}  // namespace ddpm
