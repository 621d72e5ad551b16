// Everything that follows from the betas, per timestep t = 0 .. T - 1, in double. Equation numbers
// are those of Ho et al. 2020, whose step t is our t - 1.
#pragma once

#include <vector>

namespace ddpm {

struct DiffusionTables {
  explicit DiffusionTables(std::vector<double> betas);

  int timesteps() const { return static_cast<int>(beta.size()); }

  std::vector<double> beta;
  std::vector<double> alpha_bar;           // prod of 1 - beta up to and including t (above eq. 4)
  std::vector<double> alpha_bar_previous;  // alpha_bar[t - 1], and 1 at t = 0
  std::vector<double> signal;              // sqrt(alpha_bar): the weight of x_0 in x_t (eq. 4)
  std::vector<double> noise;               // sqrt(1 - alpha_bar): the weight of epsilon (eq. 4)
  std::vector<double> noise_log_variance;  // log(1 - alpha_bar)
  std::vector<double> snr;                 // alpha_bar / (1 - alpha_bar)

  // q(x_{t-1} | x_t, x_0) = N(posterior_x0 x_0 + posterior_xt x_t, posterior_variance), eqs. 6, 7
  std::vector<double> posterior_x0, posterior_xt;
  std::vector<double> posterior_variance;  // beta tilde; 0 at t = 0
  // Its logarithm with entry 1 repeated at t = 0, as in the paper's code: L_0 is then finite and
  // the published one. With a single step, which has nothing to repeat, it is log beta.
  std::vector<double> posterior_log_variance;
  // log beta, also with log beta tilde[1] at t = 0 ("to get a better decoder log likelihood").
  std::vector<double> fixed_large_log_variance;
};

}  // namespace ddpm
