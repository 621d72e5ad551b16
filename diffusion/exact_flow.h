// The exact probability flow of a Gaussian mixture (Song et al. 2021b, eq. 13): where a perfect
// deterministic sampler of infinitely many steps takes x. What solvers, distilled networks and
// inversions are measured against.
#pragma once

#include <vector>

#include "data/gaussian_mixture.h"
#include "diffusion/noise_levels.h"

namespace ddpm {

// x (N, D) at one noise level -> at another, both with noise, by `steps` steps of the classical
// Runge-Kutta method in log(signal / noise). With the default, halving the step changes nothing
// above 1e-11 for mixtures whose deviations are 0.05 or more.
std::vector<double> exact_flow(const GaussianMixture& mixture, const std::vector<double>& x,
                               const NoiseLevel& from, const NoiseLevel& to, int steps = 4000);

}  // namespace ddpm
