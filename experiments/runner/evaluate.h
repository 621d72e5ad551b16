// evaluate: what a trained run is worth. The variational bound of held-out and training images
// under every reverse variance, samples with their range, and feature distances; written to the
// run's result.json, likelihood.json, samples/ and features/.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/runner/progress_sink.h"
#include "experiments/runner/train.h"

namespace ddpm {

struct EvaluateRequest {
  std::string run;              // a run folder
  std::string checkpoint = {};  // empty: the run's latest
  // Of evaluation.*, sampling.*, seed, device, precision, threads and cpu.winograd.
  std::vector<std::string> overrides = {};
  std::vector<std::string> metrics = {};  // of "nll", "nll_ode", "samples"; empty: as configured
  ProgressSink* progress = nullptr;
};

// kCompleted, or kDiverged when the samples are no images (the run's result.json says why). Throws
// Interrupted after a signal: the next call goes on where it stopped, result.json is as it was.
RunStatus evaluate(const EvaluateRequest& request);

// What the configuration measures, of a run that is still training: {"step", "settings",
// "evaluation": {metric: value}, "reason" if the samples are no images, "eval_seconds"}, a line of
// metrics.jsonl. Values of equal settings can be compared. Writes a sample grid and what is kept in
// likelihood/ and features/, nothing else; throws Interrupted after a signal. evaluate() adds the
// best of such lines to the metrics of the last checkpoint, as <metric>_best.
nlohmann::ordered_json measure(const EvaluateRequest& request);

struct SampleRequest {
  std::string run, checkpoint;
  std::string out;                     // a .png grid, an .npz, or a folder of single PNGs
  std::vector<std::string> overrides;  // of the same
  ProgressSink* progress = nullptr;
};

// Draws sampling.count images; returns what was written.
std::vector<std::string> sample_run(const SampleRequest& request);

}  // namespace ddpm
