// How far samples are from data in the feature space of an extractor.
//
// Samples are clipped to [-1, 1] and rounded to the nearest of the data's grey levels first, as if
// they had been saved as images; continuous data are taken as they are. The reference is the
// training split unless asked otherwise. Both distances depend on the number of samples (the
// Frechet distance of two equal laws is positive and falls like 1 / N), so that N belongs beside
// every number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/metrics/extractor.h"

namespace ddpm {

// Mean and unbiased covariance of the rows of a (N, D) tensor on the host, in double precision.
struct FeatureStatistics {
  explicit FeatureStatistics(const Tensor& features);

  int64_t count, dimension;
  std::vector<double> mean;        // (D)
  std::vector<double> covariance;  // (D, D)
};

// |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2): the squared 2-Wasserstein distance of the
// Gaussians with these moments (Heusel et al. 2017). Singular covariances are fine.
double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b);

struct KernelDistanceOptions {
  int64_t subsets = 100, subset_size = 1000;  // the size is at most that of the smaller set
  uint64_t seed = 0;                          // which rows are in a subset
};

struct KernelDistance {
  double mean = 0, std = 0;  // over the subsets; the std of subsets that are the whole set is 0
  int64_t subset_size = 0;
};

// The unbiased estimate of the squared maximum mean discrepancy under the kernel (x.y / D + 1)^3
// (Binkowski et al. 2018), of subsets of the rows of x (N, D) and y (M, D). It has mean zero for
// equal laws and may be negative.
KernelDistance kernel_distance(const Tensor& x, const Tensor& y,
                               const KernelDistanceOptions& options = {});

// The distances of samples from one split of a data set, whose features are computed once.
class FeatureDistances {
 public:
  enum class Reference { kTrain, kTest };

  struct Result {
    std::string extractor, weights_sha256, reference;  // "train" or "test"
    int64_t reference_count = 0, sample_count = 0;
    double frechet = 0;
    KernelDistance kernel;
  };

  // Keeps a reference to the extractor. Throws a UserError when it is not one for these data.
  FeatureDistances(const FeatureExtractor& extractor, const Dataset& dataset,
                   Reference reference = Reference::kTrain);

  // samples (N, H, W, C) as a sampler leaves them, N >= 2
  Result measure(const std::vector<float>& samples) const;

 private:
  const FeatureExtractor& extractor_;
  std::string reference_name_;
  Tensor reference_;  // (M, D)
  FeatureStatistics statistics_;
};

}  // namespace ddpm
