// The exact part of a step of DPM-Solver (Lu et al. 2022, eq. 3.4) and DPM-Solver++ (Lu et al.
// 2022b, eq. 8): what is linear in x is solved, and only the estimate m is approximated, over
// lambda = log(signal / noise), from s to e with h = lambda_e - lambda_s:
//   m = epsilon:  x_e = signal_e / signal_s x_s - noise_e  integral of e^(lambda_e - l) m(l)
//   m = x_0:      x_e =  noise_e /  noise_s x_s + signal_e integral of e^(l - lambda_e) m(l)
// With g = h for epsilon and g = -h for x_0, a Taylor series of m(l) makes of both
//   x_e = carry x_s - scale (phi_1 m + phi_2 h m' + phi_3 h^2 m'' + ..)
//   phi_1 = e^g - 1, phi_{n+1} = phi_n / g - 1 / n!
// so that one formula of a solver serves both estimates.
#pragma once

#include <cmath>

#include "diffusion/solver.h"

namespace ddpm {

struct ExponentialStep {
  // Also to kClean, for a step of order 1.
  ExponentialStep(Solver::Estimate estimate, const NoiseLevel& s, const NoiseLevel& e) {
    const bool epsilon = estimate == Solver::Estimate::kEpsilon;
    h = e.log_snr - s.log_snr;
    g = epsilon ? h : -h;
    carry = epsilon ? e.signal / s.signal : e.noise / s.noise;
    scale = epsilon ? e.noise : e.signal;
    // scale * phi_1, which is finite at kClean, too.
    scaled_phi_1 = carry * (epsilon ? s.noise : s.signal) - scale;
  }

  double phi_1() const { return std::expm1(g); }
  double phi_2() const { return phi_1() / g - 1; }
  double phi_3() const { return phi_2() / g - 0.5; }
  // Of an x_s that is x, with the newest estimate for m.
  Solver::Mix first_order() const { return {.x = carry, .estimate = {-scaled_phi_1}}; }

  double h, g, carry, scale, scaled_phi_1;
};

}  // namespace ddpm
