// A mixture of Gaussians with diagonal covariances: a data distribution whose density, score and
// noised marginals are all known in closed form, so that what a diffusion model learned can be
// compared with the truth. Parameters and densities are double; a point is `dimension` numbers, an
// image its (H, W, C) values in that order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/core/shape.h"

namespace ddpm {

struct GaussianMixture {
  std::vector<double> weights;    // (K), positive, sum 1
  std::vector<double> means;      // (K, D)
  std::vector<double> variances;  // (K, D), positive

  int64_t components() const { return static_cast<int64_t>(weights.size()); }
  int64_t dimension() const { return static_cast<int64_t>(means.size()) / components(); }
  // UserError when sizes disagree, a weight or variance is not positive or the weights do not sum
  // to 1. The other members trust it.
  void check() const;

  double log_density(std::span<const double> x) const;
  // P(component k | x), (K).
  std::vector<double> responsibilities(std::span<const double> x) const;
  // The gradient of log_density, (D).
  std::vector<double> score(std::span<const double> x) const;
  // The law of signal * x + noise * eps, eps standard normal: a marginal of the forward process.
  GaussianMixture diffused(double signal, double noise) const;

  // Points first .. first + count - 1 of the sequence that `seed` names, (count, D): a pure
  // function of seed and index, so that splits cut from one sequence never overlap.
  std::vector<float> sample(uint64_t seed, int64_t first, int64_t count) const;
  // The component each of these points was drawn from, (count).
  std::vector<int32_t> sample_components(uint64_t seed, int64_t first, int64_t count) const;
};

// K equal modes on a circle in the plane, mode k at angle 2 pi k / K.
GaussianMixture ring_mixture(int64_t components, double radius, double deviation);
// K equal modes whose means are smooth random images with values in (-1, 1): a 4 x 4 grid of
// uniform numbers per channel, interpolated bilinearly. `shape` is (H, W, C).
GaussianMixture smooth_image_mixture(int64_t components, const Shape& shape, double deviation,
                                     uint64_t seed);

}  // namespace ddpm
