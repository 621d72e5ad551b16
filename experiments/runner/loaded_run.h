// LoadedRun: a trained run with one set of its weights, ready to draw and to be measured.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "experiments/metrics/extractor.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/trainer.h"

namespace ddpm {

struct LoadedRun {
  // `checkpoint` "": the newest. `overrides` are assignments to evaluation.*, sampling.*, seed,
  // device, precision, threads and cpu.winograd; any other is a UserError.
  LoadedRun(const std::string& path, const std::string& checkpoint,
            const std::vector<std::string>& overrides);

  RunFolder folder;
  std::unique_ptr<ExperimentConfig> config;
  Dataset dataset;
  std::unique_ptr<DiffusionModel> model;
  std::string sampler_name, variance_name;
  std::string checkpoint;  // the file
  CheckpointInfo info;     // of it
  std::string settings;    // a digest of what evaluations must agree in to be compared
};

// What decides every number that is computed from the run: its weights, configuration, data and
// seed, the device and its arithmetic, the program.
nlohmann::ordered_json identity_json(const LoadedRun& run);

// The feature extractor that evaluation.extractor names, or the one shipped for the data; null
// where there is none. A named one that is not for these data is a UserError.
std::unique_ptr<FeatureExtractor> extractor_of(const LoadedRun& run);

// Images of a split of the run's data, as the network takes them: (count, H, W, C) on its device.
Tensor model_images(const LoadedRun& run, const Split& split, std::span<const int32_t> images);
// Those from first to first + count - 1.
Tensor model_images(const LoadedRun& run, const Split& split, int64_t first, int64_t count);

}  // namespace ddpm
