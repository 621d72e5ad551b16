#include "diffusion/x0_errors.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {

std::vector<double> read_x0_errors(const std::string& path, int64_t timesteps, bool clip_denoised) {
  using Json = nlohmann::json;
  DDPM_CHECK(std::filesystem::exists(path),
             "{}: no such file; 'ddpm eval RUN --metrics nll' writes it", path);
  const Json file = Json::parse(read_text_file(path), nullptr, false);
  DDPM_CHECK(file.is_object() && file.value("schema", "") == "ddpm.likelihood/1" &&
                 file.contains("split") && file["split"].is_object() && !file["split"].empty(),
             "{}: not the likelihood.json of a run", path);
  const Json& splits = file["split"];
  const Json& split = splits.contains("train") ? splits["train"] : splits.front();
  const Json part = clip_denoised ? split : split.value("unclipped", Json::object());
  const Json rmse = part.value("rmse", Json()), scale = split.value("rmse_scale", Json());
  DDPM_CHECK(rmse.is_array() && scale.is_number() && scale > 0,
             "{}: without errors or their scale; 'ddpm eval RUN --metrics nll' writes it anew",
             path);
  DDPM_CHECK(static_cast<int64_t>(rmse.size()) == timesteps,
             "{}: of a process of {} timesteps, this one has {}", path, rmse.size(), timesteps);
  std::vector<double> errors;
  for (const Json& value : rmse) {
    const double error = value.is_number() ? value.get<double>() / scale.get<double>() : NAN;
    errors.push_back(error * error);
  }
  return errors;
}

}  // namespace ddpm
