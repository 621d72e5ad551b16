// Weighting: how much the squared error of the prediction counts at each timestep.
#pragma once

#include <vector>

#include "diffusion/parameterization.h"

namespace ddpm {

class Weighting {
 public:
  virtual ~Weighting() = default;
  // The factor of the output's squared error where alpha_bar / (1 - alpha_bar) = `snr` and x_0
  // moves by `x0_from_output` times what the output moves by.
  virtual double of_output(double snr, double x0_from_output) const = 0;
};

// What the field publishes: a factor of the squared error of x_0, w(SNR) ||x_0 - x_0_theta||^2,
// whatever the network predicts.
class X0Weighting : public Weighting {
 public:
  virtual double of_x0(double snr) const = 0;
  double of_output(double snr, double x0_from_output) const final {
    return of_x0(snr) * x0_from_output * x0_from_output;
  }
};

// (T): the factors of the output's squared error. A UserError where no x_0 follows from the output.
inline std::vector<double> output_weights(const Weighting& weighting,
                                          const Parameterization& parameterization,
                                          const DiffusionTables& tables) {
  std::vector<double> weights;
  for (int t = 0; t < tables.timesteps(); ++t)
    weights.push_back(
        weighting.of_output(tables.snr[t], parameterization.at(tables, t).x0_from_output));
  return weights;
}

}  // namespace ddpm
