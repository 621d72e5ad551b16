// Consistency models (Song et al. 2023): the student's x_0 is to be the same at two neighbouring
// points x_t, x_s of a path, where the path ends. Its x_0 at the less noisy point is the target, by
// weights that follow slowly (theta minus, the first running average); where s is the clean image,
// that image is.
//   distillation (algorithm 2): x_s is the teacher's DDIM step from x_t
//   training (algorithm 3): x_s has the x_0 and the noise of x_t
// The boundary condition f(x, 0) = x is that of velocity, x_0 = signal x - noise v: the paper's
// c_skip and c_out (appendix C) with sigma_data = 1 and epsilon = 0. Both points are of the grid of
// DDIM's trailing stride, the distance is l2 with weight 1.
#pragma once

#include "diffusion/distillation.h"

namespace ddpm {

class ConsistencyDistillation : public Distillation {
 public:
  explicit ConsistencyDistillation(const Config& config, bool from_data = false);
  bool needs_target() const override { return true; }

 protected:
  std::unique_ptr<Objective> make(const GaussianDiffusion& student,
                                  const GaussianDiffusion& teacher) const override;

 private:
  int64_t steps_;
  bool from_data_;
};

// Without the teacher but for the weights that training begins with.
class ConsistencyTraining : public ConsistencyDistillation {
 public:
  explicit ConsistencyTraining(const Config& config) : ConsistencyDistillation(config, true) {}
};

}  // namespace ddpm
