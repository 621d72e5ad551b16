// Distillation: a student learns x_0 from what a teacher makes of x_t, instead of from the data.
#pragma once

#include "diffusion/process.h"

namespace ddpm {

class DistillationTarget {
 public:
  virtual ~DistillationTarget() = default;
  // The student is trained at this many noise levels, which are numbered from the cleanest.
  virtual int levels() const = 0;
  // (N) i32 numbers of levels -> (N) i32 timesteps
  virtual Tensor timesteps(const Tensor& level) const = 0;
  // The x_0 that the student shall name at x_t. (N, ..., C) -> (N, ..., C), without gradients
  virtual Tensor x0(const Model& teacher, const Tensor& x_t, const Tensor& level) const = 0;
};

// Progressive distillation (Salimans & Ho 2022, algorithm 2): one DDIM step of the student, of
// `steps`, goes where two of the teacher's go. From level (signal, noise) a step to (signal',
// noise') is
//   x' = (noise' / noise) x + (signal' - noise' signal / noise) x_0,
// so that the x_0 that makes one step of two is a mean of the two that the teacher names,
//   x_0 = w x_0(x_t) + (1 - w) x_0(x_mid).
// The timesteps are those of DDIM's stride "trailing", which begins at the last one.
class ProgressiveTarget : public DistillationTarget {
 public:
  // `process` is the teacher's, and must outlive this; 2 * steps <= T. `clip` as in its sampler.
  ProgressiveTarget(const GaussianDiffusion& process, int64_t steps, bool clip);

  int levels() const override { return static_cast<int>(begin_.numel()); }
  Tensor timesteps(const Tensor& level) const override;
  Tensor x0(const Model& teacher, const Tensor& x_t, const Tensor& level) const override;

 private:
  Tensor teacher_x0(const Model& teacher, const Tensor& x_t, const Tensor& t) const;

  const GaussianDiffusion& process_;
  bool clip_;
  Tensor begin_, middle_;  // (steps) i32: where the teacher's two steps begin
  Tensor first_step_;      // (steps, 2): of x_t and x_0 in x_mid
  Tensor mean_;            // (steps, 2): w and 1 - w
};

// The teacher's own x_0 at every timestep: for a student of another size or parameterization.
class OutputTarget : public DistillationTarget {
 public:
  explicit OutputTarget(const GaussianDiffusion& process) : process_(process) {}

  int levels() const override { return process_.timesteps(); }
  Tensor timesteps(const Tensor& level) const override { return level; }
  Tensor x0(const Model& teacher, const Tensor& x_t, const Tensor& level) const override {
    return process_.x0(process_.split(teacher(x_t, level), x_t).prediction, x_t, level);
  }

 private:
  const GaussianDiffusion& process_;
};

}  // namespace ddpm
