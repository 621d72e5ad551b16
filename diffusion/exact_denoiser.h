// The perfect network for data from a Gaussian mixture: what the best possible network of a given
// parameterization and variance would say, from the closed form of p(x_0 | x_t). It stands in for
// the network wherever a sampler, a loss or a bound is to be compared with the truth.
#pragma once

#include <span>
#include <vector>

#include "data/gaussian_mixture.h"
#include "diffusion/process.h"

namespace ddpm {

// Mean and variance of x_0 given one x_t, element by element. (D)
struct Denoised {
  std::vector<double> mean, variance;
};
Denoised denoise(const GaussianMixture& mixture, std::span<const double> x_t, double signal,
                 double noise);

// Computed on the host in double, at timesteps and between them. A learned variance is told the
// true one of p(x_{t-1} | x_t) as far as it can be expressed per element; between timesteps, where
// no such step begins, it is zero. What it predicts is differentiable in x_t, the variance is not.
// `process` must outlive the model.
Model exact_denoiser(GaussianMixture mixture, const GaussianDiffusion& process);

}  // namespace ddpm
