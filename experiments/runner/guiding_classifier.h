// The classifier that guides a run: an ordinary run of a network that classifies
// (layers/unet_classifier.h), trained on the same data with the same noise levels.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "experiments/runner/trainer.h"

namespace ddpm {

// UserError where the settings are not those of a classifier, which is told no class, draws nothing
// and has no teacher.
void check_classifier(const ExperimentConfig& config);

// The run `path` with the weights that it draws with, for images of `dataset` and for the noise of
// `process`. UserError where it was trained for others.
std::unique_ptr<const DiffusionModel> load_classifier(const std::string& path,
                                                      const GaussianDiffusion& process,
                                                      const Dataset& dataset,
                                                      const std::string& precision);

// How many held-out images it tells, with `weights`, at ten timesteps from the least noise on:
// {"timesteps": [t], "accuracy": [share]}; null without held-out images.
nlohmann::ordered_json classifier_accuracy(DiffusionModel& model, const Dataset& dataset,
                                           const std::string& weights, uint64_t seed);

}  // namespace ddpm
