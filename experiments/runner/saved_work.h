// SavedWork: a pass over many images that is not finished, as a file in the run's features/. What
// it depends on is its key: a pass with another one does not find it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "experiments/runner/loaded_run.h"
#include "framework/io/hdf5_file.h"

namespace ddpm {

class SavedWork {
 public:
  static constexpr const char* kFormat = "ddpm.feature_pass";

  SavedWork(const LoadedRun& run, const std::string& kind, const nlohmann::ordered_json& key);

  // Beside the file, for what is kept.
  std::string finished(const char* extension) const { return stem_ + extension; }

  // Null when there is none.
  std::unique_ptr<Hdf5Reader> load() const;
  // write(file) once in some minutes, or now.
  void save(bool now, const std::function<void(Hdf5Writer& file)>& write);
  void remove() const;

 private:
  std::string path() const { return stem_ + ".h5"; }

  std::string key_, stem_;
  std::chrono::steady_clock::time_point saved_;
};

}  // namespace ddpm
