// The likelihood of a run's images under its probability flow (diffusion/flow_likelihood.h), with
// evaluation.ode_*. Saved after every batch.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "diffusion/flow_likelihood.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/progress_sink.h"

namespace ddpm {

// The first evaluation.test_images or train_images images of the split "test" or "train", fewer if
// there are fewer; no images, an empty report. Throws Interrupted after a signal.
FlowLikelihoodReport measure_flow_likelihood(const LoadedRun& run, const std::string& split,
                                             ProgressSink* progress);

// What the number is: its parts, tolerances and errors.
nlohmann::ordered_json about_flow_likelihood(const LoadedRun& run,
                                             const FlowLikelihoodReport& report);

}  // namespace ddpm
