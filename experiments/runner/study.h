// Study: a list or a grid of experiments with seeds, run cell by cell into one folder.
//
//   {"name": "table2", "title": "...", "base": {experiment}, "seeds": [0, 1],
//    "variants": [{"name": "eps-simple", "label": "...", "set": {"diffusion.loss": "simple"},
//                  "paper": {"FID": "3.17"}}],
//    "columns": ["nll_test", "fd_digits1"], "baseline": "eps-simple", "interval": "t"}
//
// or "grid": {"diffusion.schedule": ["linear", "cosine"], ...} instead of "variants". A cell that
// has finished (completed or diverged) with the same configuration is kept, one that was stopped
// resumes, and a cell that fails is recorded and does not stop the others. Cells of a seed that
// differ only in sampling.* and evaluation.* are trained once: the first trains, the others take
// its weights, and their results say so ("trained_in"). The summary compares every variant with the
// baseline (default: the first), see study_summary.h.
//
// "tables" are tables of a paper, which the report shows with what was measured here beside them:
//
//   {"title": "Table 1", "columns": {"FID": "fid", "NLL test": "nll_test"},
//    "rows": [{"label": "Ours, L_simple", "variant": "eps-simple", "paper": {"FID": "3.17"}}]}
//   {"title": "Table 4", "rate_distortion": {"variant": "eps-simple", "split": "test",
//    "variance": "fixed_large"}, "rows": [{"steps": 1000, "rate": 1.77581, "rmse": 0.95136}]}
//
// where the most steps of a row are the whole of the reverse process.
//
// Random numbers are common to the variants: runs of one seed start from the same weights (where
// the networks agree), see the same images, timesteps and noise, and sample from the same x_T, so
// that their differences are not those of luck. "common_random_numbers": false gives every variant
// its own.
//
//   OUT/study.json, results.jsonl, results.csv, summary.json
//   OUT/runs/NNNNN-<variant>-s<seed>/   a run folder each
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/runner/progress_sink.h"
#include "experiments/runner/train.h"

namespace ddpm {

struct StudyRequest {
  std::string file;                    // the study's JSON
  std::string out;                     // empty: runs/<study name>
  std::vector<std::string> overrides;  // for every cell
  std::vector<int64_t> seeds;          // empty: the study's
  std::vector<std::string> only;       // variants; empty: all
  bool independent = false;            // as if the study's common_random_numbers were false
  std::vector<std::string> argv;       // recorded
  ProgressSink* progress = nullptr;
  std::function<void(const std::string&)> announce = {};  // "3/6 eps-simple, seed 0"
};

struct StudyOutcome {
  RunStatus status = RunStatus::kCompleted;  // kFailed when a cell failed, or kInterrupted
  std::string folder;
};

StudyOutcome run_study(const StudyRequest& request);

// The cells, their folders and whether they are finished; writes nothing.
nlohmann::ordered_json plan_study(const StudyRequest& request);

// The study's table from its folder: a row a variant, its columns with the mean over seeds (and the
// standard deviation from two seeds on) and what the paper says.
std::string study_table(const std::string& folder);

}  // namespace ddpm
