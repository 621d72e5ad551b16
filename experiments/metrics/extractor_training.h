// Trains a feature extractor: a classifier of a labelled data set, with Adam. Equal configurations
// give equal files, byte for byte, on machines that compute alike.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/registry.h"
#include "experiments/metrics/extractor.h"
#include "experiments/runner/progress_sink.h"
#include "framework/train/step_state.h"

namespace ddpm {

struct ExtractorConfig {
  // Reads everything but throws nothing: call config.finish() afterwards.
  explicit ExtractorConfig(const Config& config);

  std::string name;
  uint64_t seed;
  std::string device;  // cpu, cuda or auto
  std::unique_ptr<DataSource> data;
  ClassifierOptions model;
  int64_t steps, batch_size;
  OptimizerOptions optimizer;  // the extractor is the running average of its weights
};

bool is_extractor_name(std::string_view name);

// Trains what `config` says and writes the file `out`; returns what it says of itself.
ExtractorInfo train_extractor(const Config& config, const std::string& out,
                              ProgressSink* progress = nullptr);

}  // namespace ddpm
