#include "diffusion/tables.h"

#include <cmath>
#include <utility>

#include "framework/core/check.h"

namespace ddpm {

DiffusionTables::DiffusionTables(std::vector<double> betas) : beta(std::move(betas)) {
  const int steps = timesteps();
  DDPM_CHECK(steps >= 1, "schedule: {} diffusion steps; at least 1 is needed", steps);
  double product = 1, rest = 0;  // alpha_bar, and 1 - alpha_bar without its cancellation
  for (int t = 0; t < steps; ++t) {
    const double b = beta[t], previous = product, rest_before = rest;
    DDPM_CHECK(1 - b < 1 && b <= 1, "schedule: beta is {} at step {} of {}; it must lie in (0, 1]",
               b, t, steps);
    DDPM_CHECK(previous > 0, "schedule: nothing of x_0 is left before step {} of {}", t, steps);
    product *= 1 - b;
    rest = rest_before * (1 - b) + b;
    alpha_bar.push_back(product);
    alpha_bar_previous.push_back(previous);
    signal.push_back(std::sqrt(product));
    noise.push_back(std::sqrt(rest));
    noise_log_variance.push_back(std::log(rest));
    snr.push_back(product / rest);
    posterior_x0.push_back(std::sqrt(previous) * b / rest);
    posterior_xt.push_back(std::sqrt(1 - b) * rest_before / rest);
    posterior_variance.push_back(rest_before / rest * b);
  }
  const double at_first = steps > 1 ? posterior_variance[1] : beta[0];
  for (int t = 0; t < steps; ++t) {
    posterior_log_variance.push_back(std::log(t == 0 ? at_first : posterior_variance[t]));
    fixed_large_log_variance.push_back(std::log(t == 0 ? at_first : beta[t]));
  }
}

}  // namespace ddpm
