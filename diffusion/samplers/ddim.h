// DDIM (Song et al. 2021): fewer steps and, at eta = 0, no noise. From t to s, with s < t the next
// visited timestep and alpha_bar = 1 after the last (eqs. 12 and 16):
//   x_s = signal_s x_0 + sqrt(1 - alpha_bar_s - sigma^2) epsilon + sigma z
//   sigma = eta sqrt((1 - alpha_bar_s) / (1 - alpha_bar_t)) sqrt(1 - alpha_bar_t / alpha_bar_s)
// where epsilon = (x_t - signal_t x_0) / noise_t follows from the (clipped) x_0.
//
// With "errors" a step's noise is the best that one of its mean can have (Analytic-DPM, Bao et al.
// 2022, theorem 1): x_0 is uncertain given x_t, and what comes of it is added,
//   sigma^2 + x0^2 E |x_0 - x_0(x_t)|^2 / d,  x0 the coefficient of x_0 in x_s.
// The paper takes the expectation from the size of epsilon, which for the best of networks is the
// same; that of a real one errs more, and the measured error is the optimum for its mean.
#pragma once

#include <string>

#include "diffusion/solver.h"

namespace ddpm {

// x_s = x0 * x_0 + xt * x_t + sigma * z
struct DdimCoefficients {
  double x0, xt, sigma;
};
DdimCoefficients ddim_coefficients(const NoiseLevel& from, const NoiseLevel& to, double eta);

// The timesteps of the stride "trailing", rising: of the ends of `steps` equal parts of a process
// of `total` timesteps. Those of half as many steps are every other one of them.
std::vector<int32_t> trailing_timesteps(int64_t total, int64_t steps);

class DdimSampler : public Solver {
 public:
  explicit DdimSampler(const Config& config);

  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;

 protected:
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  double sigma_of_errors(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         const DdimCoefficients& c) const;

  int64_t steps_;
  double eta_;
  std::string stride_;
  bool sigma_hat_;
  std::string errors_;  // a file of x0_errors.h, or ""
  double last_noise_;
  mutable std::vector<double> x0_errors_;  // what is in it, once that is needed
};

// The way back of a deterministic DDIM (section 4.3): from an image, started as the x of the lowest
// visited timestep, to its x_T, by the same Euler steps with the noise growing. Each takes epsilon
// from its less noisy end, so that x_0 -> x_T -> x_0 returns as the steps get many.
class DdimInversion : public Solver {
 public:
  explicit DdimInversion(const DdimSampler& sampler);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  DdimSampler sampler_;
};

}  // namespace ddpm
