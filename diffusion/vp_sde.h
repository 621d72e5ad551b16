// The variance-preserving SDE of a schedule (Song et al. 2021b, eqs. 11 and 32), in units of its
// timesteps:
//   dx = -beta(t) x / 2 dt + sqrt(beta(t)) dw,   beta(t) = -d log alpha_bar / dt
// With log alpha_bar linear between timesteps (noise_levels.h), beta is constant there, and at
// every timestep the law of x_t given x_0 is DDPM's: a discrete-time network is one of the SDE. Its
// score is -epsilon / noise, so that back in time (eq. 6), and without noise (eq. 13, the
// probability flow, for which score counts half),
//   dx = (-beta x / 2 + beta epsilon / noise) dt + sqrt(beta) dw
#pragma once

#include <cmath>

#include "diffusion/noise_levels.h"

namespace ddpm {

// The integral of beta over the time from `less` noise to `more`.
inline double beta_between(const NoiseLevel& less, const NoiseLevel& more) {
  return 2 * std::log(less.signal / more.signal);
}

// 1 - beta of the discrete step that ends at time t, which for a t between two is in part of both:
// alpha_bar(t) / alpha_bar(t - 1), the first timestep having its whole step before it.
inline double kept_by_step(const NoiseLevels& levels, double t) {
  const double first = levels.first().signal;
  const double before = t < 1 ? std::pow(first, t) : levels.at_time(t - 1).signal;
  const double kept = levels.at_time(t).signal / before;
  return kept * kept;
}

}  // namespace ddpm
