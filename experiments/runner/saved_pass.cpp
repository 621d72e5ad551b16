#include "experiments/runner/saved_pass.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/hdf5_file.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

constexpr const char* kFormat = "ddpm.likelihood_pass";

}  // namespace

SavedPass::SavedPass(const LoadedRun& run, const std::string& name,
                     const nlohmann::ordered_json& depends) {
  const nlohmann::ordered_json all = {
      {"format", kFormat}, {"run", identity_json(run)}, {"name", name}, {"depends", depends}};
  key_ = sha256_hex(all.dump());
  path_ = fmt::format("{}/{}-{}.h5", run.folder.file("likelihood"), name, key_.substr(0, 12));
}

int64_t SavedPass::load(std::vector<double>& state) const {
  if (!std::filesystem::exists(path_)) return 0;
  const Hdf5Reader file(path_);
  DDPM_CHECK(file.has_attribute("/", "format") && file.string("/", "format") == kFormat &&
                 file.string("/", "key") == key_,
             "{}: not the pass that its name says; remove it to start the pass anew", path_);
  state = file.read<double>("/state", {static_cast<int64_t>(state.size())});
  return file.integer("/", "images");
}

void SavedPass::save(const std::vector<double>& state, int64_t images) const {
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
  Hdf5Writer file(path_);
  file.array<double>("/state", {static_cast<int64_t>(state.size())}, state);
  file.set_string("/", "format", kFormat);
  file.set_string("/", "key", key_);
  file.set_integer("/", "images", images);
  file.commit();
}

}  // namespace ddpm
