// Progressive distillation (Salimans & Ho 2022, algorithm 2): one step of the student's DDIM goes
// where two of the teacher's go, t -> m -> s. With X_t, X_m the teacher's two estimates of x_0, the
// one that the student must make to get there,
//   (x_s - xt x_t) / x0,  x_s = x0 x_0 + xt x_t the DDIM step from t to s,
// is their weighted mean: the share of each is what DDIM gives it of the whole step, the shares add
// up to 1, and the last step's is all of X_m. In this form nothing is divided by a small number.
// The error of x_0 is weighted by max(SNR, 1) (section 4).
#pragma once

#include <vector>

#include "diffusion/distillation.h"

namespace ddpm {

class ProgressiveDistillation : public Distillation {
 public:
  explicit ProgressiveDistillation(const Config& config);

 protected:
  std::unique_ptr<Objective> make(const GaussianDiffusion& student,
                                  const GaussianDiffusion& teacher) const override;

 private:
  int64_t steps_;
};

class ProgressiveObjective : public Distillation::Objective {
 public:
  // A student of so many steps; its timesteps are those of DDIM's trailing stride.
  ProgressiveObjective(const GaussianDiffusion& student, const GaussianDiffusion& teacher,
                       int64_t steps, bool clip_denoised);

  int places() const override { return static_cast<int>(timestep_.numel()); }
  Tensor losses(const Distillation::Networks& networks, const Tensor& x0, const Tensor& place,
                const Tensor& noise) const override;
  // The x_0 that the student must predict for x_t at these places.
  Tensor target(const Model& teacher, const Tensor& x_t, const Tensor& place) const;
  Tensor timesteps(const Tensor& place) const;

 private:
  const GaussianDiffusion &student_, &teacher_;
  bool clip_;
  // By place: t and m; the first step's coefficients; the shares of the estimates; the weight.
  Tensor timestep_, middle_, step_x0_, step_xt_, share_first_, share_second_, weight_;
};

}  // namespace ddpm
