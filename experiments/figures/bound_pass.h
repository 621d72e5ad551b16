// The pass over images that the figures of the bound are drawn from.
#pragma once

#include <string>
#include <vector>

#include "experiments/figures/figure.h"
#include "experiments/runner/likelihood_run.h"

namespace ddpm {

struct SplitBound {
  std::string split;  // "test", "train"
  LikelihoodReport report;
};

// Every timestep of the first `images` images of each split that the run has. The pass is saved in
// the run and shared with `ddpm eval`.
std::vector<SplitBound> measure_bounds(const FigureContext& context, int64_t images);

}  // namespace ddpm
