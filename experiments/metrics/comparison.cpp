#include "experiments/metrics/comparison.h"

#include "framework/core/check.h"

namespace ddpm {

FeatureComparison::FeatureComparison(const FeatureSpace& in, const FeatureSummary& samples,
                                     const FeatureSummary& reference,
                                     const FrechetReference& frechet)
    : is_inception(in.is_inception()),
      space(in.name()),
      weights_sha256(in.weights_sha256()),
      sample_count(samples.statistics.count),
      reference_count(reference.statistics.count),
      sample_rows(samples.rows.shape()[0]),
      frechet_distance(frechet.distance(samples.statistics)) {
  if (samples.spatial && reference.spatial)
    spatial_frechet = ddpm::frechet_distance(*reference.spatial, *samples.spatial);
  else if (samples.spatial)
    missing.emplace_back("sfid", "the reference statistics hold no 'mu_s' and 'sigma_s'");
  frechet_limit = extrapolate_frechet(samples.points);
  if (!frechet_limit)
    missing.emplace_back(is_inception ? "fid_inf" : "fd_inf",
                         fmt::format("{} samples are too few: {} needed", sample_count,
                                     4 * samples.statistics.dimension));
  if (reference.rows) {
    reference_rows = reference.rows.shape()[0];
    kernel = kernel_distance(samples.rows, reference.rows);
    try {
      coverage = precision_recall(samples.rows, reference.rows);
    } catch (const UserError& error) {
      for (const char* name : {"precision", "recall"}) missing.emplace_back(name, error.what());
    }
  } else {
    for (const char* name : {"kid", "precision", "recall"})
      missing.emplace_back(name, "the reference statistics hold no features of single images");
  }
  if (samples.score)
    score = samples.score->result();
  else if (in.logit_count() > 0)
    missing.emplace_back("is", fmt::format("{} samples are too few for 10 splits", sample_count));
}

}  // namespace ddpm
