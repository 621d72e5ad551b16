// SolverBench: how far a sampler of few steps is from the truth, when the network is the exact
// denoiser of a Gaussian mixture and the truth its probability flow. Errors over evaluations of the
// network show the sampler's order.
#pragma once

#include <vector>

#include "data/gaussian_mixture.h"
#include "diffusion/registry.h"
#include "diffusion/samplers/ode.h"

namespace ddpm {

class SolverBench {
 public:
  // `shape` (N, ..., C) of the batch; DDPM's process in f64 on the CPU.
  SolverBench(GaussianMixture mixture, const Shape& shape);

  struct Result {
    int64_t evaluations;  // of the network: NFE
    double error;         // root mean square over the batch
  };
  Result measure(const Sampler& sampler) const;
  // The adaptive flow, and the evaluation that ends at x_0; evaluations are those of the mean
  // image.
  Result measure(const OdeSampler& sampler) const;

  // Points in the plane, and 4 x 4 images, both smooth enough for orders to show below T steps.
  static SolverBench points();
  static SolverBench images();

 private:
  double error_of(const std::vector<double>& drawn) const;

  GaussianMixture mixture_;
  Shape shape_;
  GaussianDiffusion process_;
  std::vector<double> truth_;
};

// The slope of the least-squares line through (log evaluations, log error), with its sign changed.
double observed_order(const std::vector<SolverBench::Result>& results);

}  // namespace ddpm
