// train: one run, from a configuration to a folder. See run_folder.h for what it leaves there.
//
// Interrupted by a signal it finishes its step, saves and returns kInterrupted; killed, it loses
// the steps since its last checkpoint. Either way a resumed run ends with the same bits as one that
// was never stopped. With training.evaluate_every the weights are measured on the way, as `ddpm
// eval` would measure the checkpoint of that step, and at the end. A gradient that is not finite
// ends the run as kDiverged: an outcome, not an error.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/runner/progress_sink.h"
#include "framework/config/config_source.h"

namespace ddpm {

enum class RunStatus { kCompleted, kDiverged, kFailed, kInterrupted };
std::string name_of(RunStatus status);
// 0 completed, 1 failed, 3 diverged, 130 or 143 interrupted by SIGINT or SIGTERM
int exit_code(RunStatus status);

struct TrainRequest {
  ConfigSource source;  // ignored keys may not differ from the folder's when resuming
  std::string out;      // the run folder; empty: the next free runs/NNNNN-name
  bool resume = false, overwrite = false;
  std::vector<std::string> argv;       // recorded
  std::vector<std::string> overrides;  // recorded
  std::string study, variant;          // of a study's cell
  ProgressSink* progress = nullptr;
  // Called with the run folder as soon as it exists: a log can go there.
  std::function<void(const std::string&)> on_folder = {};
};

struct TrainOutcome {
  RunStatus status = RunStatus::kCompleted;
  std::string folder;
  int64_t step = 0;
  std::string reason;  // of anything but kCompleted
};

TrainOutcome train(TrainRequest request);

// What train() would do, without writing anything: the resolved configuration, the size of the
// network and of the data, and the folder.
nlohmann::ordered_json plan(TrainRequest request);

}  // namespace ddpm
