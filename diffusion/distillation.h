// Distillation: what a student network learns from a trained one, its teacher, in the place of the
// data's own noise. A method is a few tables and a loss; the loop, its random numbers and its
// checkpoints are those of ordinary training.
#pragma once

#include <memory>
#include <string>

#include "diffusion/process.h"
#include "framework/config/config.h"

namespace ddpm {

class Distillation {
 public:
  // Those of a training step. Only the student's prediction has a gradient. The target is the
  // student with the weights of its first running average, where needs_target().
  struct Networks {
    Model student, teacher, target = {};
  };
  // A method at work on two processes of the same noise levels, with its tables on the device.
  class Objective {
   public:
    virtual ~Objective() = default;
    // Training draws a place in {0, .., places - 1} for each image, and each has a timestep.
    virtual int places() const = 0;
    // place is (N) i32, x0 and noise (N, ..., C) -> (N)
    virtual Tensor losses(const Networks& networks, const Tensor& x0, const Tensor& place,
                          const Tensor& noise) const = 0;
  };

  explicit Distillation(const Config& config);
  virtual ~Distillation() = default;

  const std::string& teacher() const { return teacher_; }  // a run folder
  const std::string& teacher_sha256() const { return teacher_sha256_; }
  // Whether the student must be a network like the teacher's.
  virtual bool is_of_one_network() const { return true; }
  virtual bool needs_target() const { return false; }
  // Throws a UserError where the processes cannot be those of a teacher and its student. Both must
  // outlive the objective.
  std::unique_ptr<Objective> objective(const GaussianDiffusion& student,
                                       const GaussianDiffusion& teacher) const;

 protected:
  virtual std::unique_ptr<Objective> make(const GaussianDiffusion& student,
                                          const GaussianDiffusion& teacher) const = 0;
  // The teacher's x_0 goes to [-1, 1] first, as in its sampler.
  bool clip_denoised() const { return clip_denoised_; }

 private:
  std::string teacher_, teacher_sha256_;
  bool clip_denoised_;
};

// What a network says of x_0, without the clipping.
Tensor x0_of(const GaussianDiffusion& process, const Model& model, const Tensor& x,
             const Tensor& t);

// UserError where an error of the network's output would be larger in x_0 at one of these
// timesteps: a student of few steps has no later one to make up for it.
void check_direct(const GaussianDiffusion& student, const std::vector<int32_t>& timesteps);

}  // namespace ddpm
