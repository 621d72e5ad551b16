// DDIM (Song et al. 2021): fewer steps and, at eta = 0, no noise. From t to s, with s < t the next
// visited timestep and alpha_bar = 1 after the last (eqs. 12 and 16):
//   x_s = signal_s x_0 + sqrt(1 - alpha_bar_s - sigma^2) epsilon + sigma z
//   sigma = eta sqrt((1 - alpha_bar_s) / (1 - alpha_bar_t)) sqrt(1 - alpha_bar_t / alpha_bar_s)
// where epsilon = (x_t - signal_t x_0) / noise_t follows from the (clipped) x_0.
#pragma once

#include <string>

#include "diffusion/sampler.h"

namespace ddpm {

// x_s = x0 * x_0 + xt * x_t + sigma * z
struct DdimCoefficients {
  double x0, xt, sigma;
};
DdimCoefficients ddim_coefficients(double alpha_bar_t, double alpha_bar_s, double eta);

class DdimSampler : public Sampler {
 public:
  explicit DdimSampler(const Config& config);

  std::vector<int32_t> timesteps(const GaussianDiffusion& process) const override;
  StepFunction step(const GaussianDiffusion& process) const override;

 private:
  int64_t steps_;
  double eta_;
  std::string stride_;
  bool sigma_hat_, clip_denoised_;
};

}  // namespace ddpm
