// The bound of a run's images, from one pass of the network over them: every variance, x_0 clipped
// and not. The pass is saved after every batch, so that the same call goes on where it stopped and
// ends with the same bits, and a pass that was finished is not repeated.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "diffusion/likelihood.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/progress_sink.h"

namespace ddpm {

// The first evaluation.test_images or train_images images of the split "test" or "train", fewer if
// there are fewer; no images, an empty report. Throws Interrupted after a signal.
struct SplitLikelihood {
  LikelihoodReport report;
  std::vector<int32_t> strata;
};
SplitLikelihood measure_likelihood(const LoadedRun& run, const std::string& split,
                                   ProgressSink* progress);

// The variance whose bound is the model's own: "model" where it is learned, else the configured
// one.
std::string own_variance(const LoadedRun& run);

// How the timesteps were chosen and what that means for bias and error.
nlohmann::ordered_json estimator_json(const SplitLikelihood& likelihood);
// A split of likelihood.json: the clipped bounds of the paper, and "unclipped" the others.
nlohmann::ordered_json to_json(const SplitLikelihood& likelihood);

}  // namespace ddpm
