// FeatureComparison: every number that samples and reference images have in common in one feature
// space. Samples are clipped to [-1, 1] and rounded to the nearest of the data's grey levels before
// they come here, as if they had been saved as images; continuous data are taken as they are.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/metrics/feature_summary.h"
#include "experiments/metrics/kernel_distance.h"
#include "experiments/metrics/precision_recall.h"

namespace ddpm {

struct FeatureComparison {
  // Both summaries are of the space; `frechet` is of the reference's statistics.
  FeatureComparison(const FeatureSpace& space, const FeatureSummary& samples,
                    const FeatureSummary& reference, const FrechetReference& frechet);

  bool is_inception;
  std::string space, weights_sha256;
  int64_t sample_count, reference_count;    // the latter 0 where it is not known
  int64_t sample_rows, reference_rows = 0;  // single images, for what needs pairs of them

  double frechet_distance;
  // Nothing where the space, the reference or the number of images does not allow it.
  std::optional<double> frechet_limit, spatial_frechet;
  std::optional<KernelDistance> kernel;
  std::optional<PrecisionRecall> coverage;
  std::optional<InceptionScore::Result> score;
  // The share of samples that are of the class asked for, as far as the space can tell: set by who
  // asked.
  std::optional<double> class_accuracy;
  // A metric of which there is none, and why: {"precision", "..."}
  std::vector<std::pair<std::string, std::string>> missing;
};

}  // namespace ddpm
