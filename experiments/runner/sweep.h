// Sweep: one checkpoint, many questions. The same images (the same x_T, and where steps are the
// same, the same noise) are drawn with every combination of weights, sampler, number of steps,
// reverse variance, guidance and clipping, and measured; the bound is measured where it belongs to
// the combination. Finished cells are kept on disk: the same call goes on where it stopped. A cell
// that fails does not stop the others.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/metrics/metrics.h"
#include "experiments/runner/progress_sink.h"
#include "framework/core/shape.h"

namespace ddpm {

struct SweepRequest {
  std::string run;
  std::string checkpoint = {}, out = {};    // empty: the newest; RUN/sweep
  std::vector<std::string> overrides = {};  // as for evaluate()
  // The axes. Empty: the run's weights; ancestral and ddim; 50 steps and T; every variance that the
  // run has; clipped and unclipped.
  std::vector<std::string> weights = {}, samplers = {};
  std::vector<int64_t> steps = {};
  std::vector<std::string> variances = {}, clippings = {};
  std::vector<double> guidances = {};  // of a conditional run; empty: its own
  ProgressSink* progress = nullptr;
  std::function<void(const std::string&)> announce = {};  // "3/12 ema, ddim, 50 steps, clipped"
};

// Ancestral sampling in fewer steps than T is that of the respaced process; its variance "optimal"
// is DDIM's "errors" with eta = 1, from the run's likelihood.json. All others add no noise: their
// variance is "none".
struct SweepCell {
  std::string weights, sampler;
  int64_t steps = 0;  // as the sampler's setting
  std::string variance, clipping;
  double guidance = 1;
  int64_t evaluations = 0;  // of the network
  // "completed"; "diverged": the samples are no images; "failed": an error, the reason
  std::string status = {}, reason = {};
  MetricValues metrics = {};      // nll_test and nll_test_se only for all T ancestral steps
  std::vector<float> shown = {};  // the first images, (shown, H, W, C)

  std::string label() const;  // without the guidance where that is 1
};

struct SweepOutcome {
  std::string folder, run, dataset;
  int64_t step = 0;
  uint64_t seed = 0;
  std::vector<SweepCell> cells;
  std::vector<std::string> left_out;  // combinations that do not exist, and why
  int64_t samples = 0, nll_images = 0;
  Shape image_shape;
  int levels = 0;
};

// Also writes sweep.csv and sweep.json. Throws Interrupted after a signal.
SweepOutcome sweep(const SweepRequest& request);

nlohmann::ordered_json to_json(const SweepOutcome& outcome);
// Aligned text, a row a cell.
std::string sweep_table(const SweepOutcome& outcome);

}  // namespace ddpm
