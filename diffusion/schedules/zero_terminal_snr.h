// Zero terminal SNR (Lin et al. 2024, algorithm 1): sqrt(alpha_bar) is shifted and scaled so that
// nothing of x_0 is left after the last step, and the first step is what it was.
#pragma once

#include <vector>

#include "diffusion/tables.h"

namespace ddpm {

inline std::vector<double> with_zero_terminal_snr(std::vector<double> betas) {
  const std::vector<double> signal = DiffusionTables(betas).signal;  // sqrt(alpha_bar)
  const double first = signal.front(), last = signal.back();
  double previous = first;
  for (size_t t = 1; t < betas.size(); ++t) {
    const double rescaled = (signal[t] - last) * (first / (first - last));
    betas[t] = 1 - rescaled / previous * (rescaled / previous);
    previous = rescaled;
  }
  betas.back() = 1;
  return betas;
}

}  // namespace ddpm
