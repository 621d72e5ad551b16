#include "experiments/runner/result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/runner/build_info.h"
#include "framework/config/config.h"
#include "framework/io/sha256.h"

namespace ddpm {

nlohmann::ordered_json new_result(const TrainRequest& request, const nlohmann::ordered_json& config,
                                  const Dataset& dataset, const DeviceChoice& device) {
  const std::string started = utc_now(), hash = config_hash(config);
  std::string compact_time = started;
  std::erase_if(compact_time, [](char c) { return c == '-' || c == ':'; });
  const bool has_name = request.variant.empty() && config.contains("name");
  return {
      {"schema", "ddpm.result/1"},
      {"run_id", compact_time + "-" + sha256_hex(hash + request.out + started).substr(0, 6)},
      {"study", request.study},
      {"variant", has_name ? config["name"].get<std::string>() : request.variant},
      {"seed", config["seed"]},
      {"status", "running"},
      {"config", config},
      {"config_hash", hash},
      {"overrides", request.overrides},
      {"git", git_json()},
      {"host", host_json()},
      {"device", device_json(device)},
      {"build", build_json()},
      {"dataset",
       {{"name", dataset.name},
        {"split", "train"},
        {"n", dataset.train.count},
        {"n_test", dataset.test.count},
        {"shape", {dataset.image_shape[0], dataset.image_shape[1], dataset.image_shape[2]}},
        {"levels", dataset.levels},
        {"sha256", dataset.train.data_sha256},
        {"sha256_test", dataset.test.data_sha256},
        {"source", dataset.source},
        {"licence", dataset.licence},
        {"note", dataset.note}}},
      {"metrics", nlohmann::ordered_json::object()},
      {"metric_info", nlohmann::ordered_json::object()},
      {"timing", nlohmann::ordered_json::object()},
      {"started", started},
      {"finished", nullptr},
  };
}

nlohmann::ordered_json device_json(const DeviceChoice& device) {
  nlohmann::ordered_json json = {{"kind", name_of(device.device)}};
  if (device.device == Device::kCuda)
    json.update(gpu_json());
  else
    json["name"] = host_json()["cpu"];
  if (!device.note.empty()) json["note"] = device.note;
  return json;
}

nlohmann::ordered_json finite_or_null(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

std::string csv_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.9g}", value) : "";
}

std::vector<std::string> differing_keys(const nlohmann::ordered_json& a,
                                        const nlohmann::ordered_json& b) {
  const auto flat_a = a.flatten(), flat_b = b.flatten();
  std::vector<std::string> keys;
  const auto collect = [&](const auto& from, const auto& other) {
    for (const auto& [pointer, value] : from.items()) {
      if (other.contains(pointer) && other[pointer] == value) continue;
      std::string key = pointer.substr(1);
      std::replace(key.begin(), key.end(), '/', '.');
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  };
  collect(flat_a, flat_b);
  collect(flat_b, flat_a);
  return keys;
}

}  // namespace ddpm
