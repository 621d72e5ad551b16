// result.json (schema ddpm.result/1): what came of a run, in one object that jq and pandas read.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/dataset.h"
#include "experiments/runner/experiment_config.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/train.h"

namespace ddpm {

// Everything that is known before the first step: identity, configuration, machine, data.
nlohmann::ordered_json new_result(const TrainRequest& request, const nlohmann::ordered_json& config,
                                  const Dataset& dataset, const DeviceChoice& device);

// What computed: "kind", "name" and, for a GPU, the rest of gpu_json; "note" as in DeviceChoice.
nlohmann::ordered_json device_json(const DeviceChoice& device);

// Numbers that JSON has no word for become null.
nlohmann::ordered_json finite_or_null(double value);
// Nine digits tell any two f32 apart; what is no number is empty.
std::string csv_number(double value);

// "a.b", "a.c": the leaves in which two JSON objects differ.
std::vector<std::string> differing_keys(const nlohmann::ordered_json& a,
                                        const nlohmann::ordered_json& b);

}  // namespace ddpm
