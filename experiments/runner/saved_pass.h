// What is measured image by image, saved after every batch: the same call goes on where it stopped
// and ends with the same bits, and a pass that was finished is not repeated.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/runner/loaded_run.h"

namespace ddpm {

class SavedPass {
 public:
  // A file in RUN/likelihood that begins with `name`; `depends` is all that the numbers depend on
  // beside the run.
  SavedPass(const LoadedRun& run, const std::string& name, const nlohmann::ordered_json& depends);

  // The number of images that are already in `state`, whose size is that of the file's; else it is
  // as it was.
  int64_t load(std::vector<double>& state) const;
  void save(const std::vector<double>& state, int64_t images) const;

 private:
  std::string key_, path_;
};

}  // namespace ddpm
