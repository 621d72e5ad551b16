// The Frechet distance of two sets of features, which is the FID where the features are Inception's
// (Heusel et al. 2017):
//
//   |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)
//
// is the squared 2-Wasserstein distance of the Gaussians with these moments. Covariances may be
// singular, as those of fewer images than features are. Of two equal laws it is positive and falls
// like 1 / N, so that N belongs beside every number.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "experiments/metrics/feature_statistics.h"

namespace ddpm {

// One side of it, decomposed once for any number of distances.
class FrechetReference {
 public:
  explicit FrechetReference(const FeatureStatistics& statistics);
  double distance(const FeatureStatistics& other) const;

 private:
  double trace_;
  std::vector<double> mean_;    // (D)
  std::vector<double> factor_;  // (D, D): S = factor factor^T
};

double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b);

// The distance at an unlimited number of samples (Chong & Forsyth 2020): where the line through the
// distances of the first n samples over 1 / n meets 1 / n = 0. The bias from the number of
// reference images stays.
struct FrechetPoint {
  int64_t count = 0;  // n
  double distance = 0;
};
// At which n distances are taken: ten from N / 10 to N, but above 2 D, where covariances are of
// full rank and the bias is nearly a line; none where N is below 4 D.
std::vector<int64_t> extrapolation_counts(int64_t count, int64_t dimension);
// Nothing from fewer than two points.
std::optional<double> extrapolate_frechet(const std::vector<FrechetPoint>& points);

}  // namespace ddpm
