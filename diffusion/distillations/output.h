// Output distillation: at every timestep the student says what the teacher says of the same x_t, in
// its own terms. The student may be another network, or predict something else: with velocity, a
// teacher of epsilon becomes one that progressive distillation can use.
#pragma once

#include "diffusion/distillation.h"

namespace ddpm {

class OutputDistillation : public Distillation {
 public:
  explicit OutputDistillation(const Config& config) : Distillation(config) {}
  bool is_of_one_network() const override { return false; }

 protected:
  std::unique_ptr<Objective> make(const GaussianDiffusion& student,
                                  const GaussianDiffusion& teacher) const override;
};

}  // namespace ddpm
