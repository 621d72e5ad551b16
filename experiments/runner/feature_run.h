// Samples of a run against reference images in the feature spaces that its configuration asks for:
// the data's extractor, and Inception where its weights are given. Samples are drawn and forgotten
// batch by batch. Work that takes long is saved in the run's features/ every few minutes and when a
// signal arrives, so that the same call goes on where it stopped and ends with the same bits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/metrics/metrics.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/progress_sink.h"

namespace ddpm {

// Throws a UserError when the configuration names what does not exist, or is not for the run's
// data.
std::vector<std::unique_ptr<FeatureSpace>> feature_spaces(const LoadedRun& run);

// Samples as images of the data: clipped, and rounded to its grey levels.
Split as_images(const std::vector<float>& samples, const Dataset& dataset);

// A space and the images that samples are compared with in it.
struct ReferencedSpace {
  std::shared_ptr<const FeatureSpace> space;
  FeatureSummary reference;
  std::shared_ptr<const FrechetReference> frechet;  // of its statistics
};
// With those images of evaluation.reference's split that are of the classes drawn, or the file
// evaluation.inception_statistics. What is computed for Inception is kept as a NumPy archive that
// this key takes, in this run and in others. Throws Interrupted after a signal.
std::vector<ReferencedSpace> add_references(const LoadedRun& run,
                                            std::vector<std::unique_ptr<FeatureSpace>> spaces,
                                            ProgressSink* progress);

struct MeasuredSamples {
  SampleRange range;
  std::vector<float> shown;                    // the first images
  std::vector<FeatureComparison> comparisons;  // none when the samples diverged
};
// Draws evaluation.samples images with the sampler, which `label` tells from other samplers of the
// run, and keeps the first `shown`. Throws Interrupted after a signal.
MeasuredSamples measure_samples(const LoadedRun& run, const Sampler& sampler,
                                const std::string& label, int64_t shown,
                                const std::vector<ReferencedSpace>& spaces, ProgressSink* progress);

}  // namespace ddpm
