// distill: runs that learn from a run. A stage is an ordinary run, whose configuration is its
// teacher's with a `distillation`; a progressive distillation is a chain of them, each the teacher
// of the next.
//
// The same request goes on where an earlier one was stopped: stages that are done stay as they are.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/runner/train.h"

namespace ddpm {

struct DistillRequest {
  std::string teacher;  // a run folder
  std::string out;      // the run, or the folder of the chain, OUT/64, OUT/32, ..
  std::string method = "progressive";
  // DDIM steps of the first student of a chain and of the last, a power of two times fewer; of
  // consistency models `from` is the number of noise levels.
  int64_t from = 64, to = 1;
  int64_t training_steps = 1000;       // of each stage
  std::vector<std::string> overrides;  // assignments to the configuration of every stage
  std::vector<std::string> argv;       // recorded
  ProgressSink* progress = nullptr;
  std::function<void(const std::string&)> on_folder = {};  // before a stage trains
};

// Of every stage in turn, up to the first that did not complete.
std::vector<TrainOutcome> distill(const DistillRequest& request);

}  // namespace ddpm
