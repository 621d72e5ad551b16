#include "experiments/figures/bound_pass.h"

namespace ddpm {

std::vector<SplitBound> measure_bounds(const FigureContext& context, int64_t images) {
  EvaluationOptions& options = context.run.config->evaluation;
  options.timesteps_per_image = 0;
  options.test_images = options.train_images = images;
  std::vector<SplitBound> bounds;
  for (const char* split : {"test", "train"}) {
    SplitLikelihood measured = measure_likelihood(context.run, split, context.progress);
    if (measured.report.prior.count() > 0) bounds.push_back({split, std::move(measured.report)});
  }
  return bounds;
}

}  // namespace ddpm
