// The gradient that a training batch gives, and how much it differs from batch to batch.
#pragma once

#include <string>
#include <vector>

#include "diffusion/likelihood.h"
#include "diffusion/timestep_sampler.h"
#include "experiments/runner/loaded_run.h"

namespace ddpm {

// What pairs of independent batches a and b say without bias of their gradients: the total
// variance, |a - b|^2 / 2, and the square of the mean, a . b.
struct GradientMoments {
  Estimate variance, squared_mean;

  void add(const std::vector<float>& a, const std::vector<float>& b);
};

// The random numbers of batch number `batch` for one purpose.
RandomStream batch_stream(const LoadedRun& run, const std::string& site, int64_t batch);

// The losses (N) of batch number `batch`, whose images and noise are functions of that number.
Tensor batch_losses(const LoadedRun& run, const Loss& loss, const Tensor& t, int64_t batch);
// The gradient of their weighted mean with respect to all weights, which have room for it.
std::vector<float> batch_gradient(LoadedRun& run, const Loss& loss, const TimestepDraw& timesteps,
                                  int64_t batch);

}  // namespace ddpm
