// Loss: what training minimises, one number per sample. The mean over the batch is the caller's, so
// that losses can be watched per timestep.
#pragma once

#include "diffusion/variance.h"
#include "framework/core/tensor.h"

namespace ddpm {

class GaussianDiffusion;

struct LossTerms {
  const GaussianDiffusion& process;
  Tensor x0, t, noise, x_t;  // t is (N) i32, the others (N, ..., C)
  Tensor second_noise;       // (N, ..., C), or empty where the loss needs none
  Tensor prediction;         // (N, ..., C): what the parameterization predicts
  Tensor variance_output;    // (N, ..., C), or empty where the variance is fixed
};

class Loss {
 public:
  virtual ~Loss() = default;
  virtual Tensor operator()(const LossTerms& terms) const = 0;  // (N)
  // Whether x_{t-1} is drawn too, by a noise that is independent of x_t.
  virtual bool needs_second_noise() const { return false; }
  // Whether it has a squared error for a weighting of timesteps to act on.
  virtual bool takes_weights() const { return true; }
  // Why this loss cannot train that variance; nullptr if it can.
  virtual const char* objection(const Variance&) const { return nullptr; }
};

}  // namespace ddpm
