#include "experiments/runner/saved_work.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/sha256.h"

namespace ddpm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kSaveEvery{3};

}  // namespace

SavedWork::SavedWork(const LoadedRun& run, const std::string& kind,
                     const nlohmann::ordered_json& key)
    : key_(sha256_hex(key.dump())),
      stem_(fmt::format("{}/{}-{}", run.folder.file("features"), kind, key_.substr(0, 12))),
      saved_(Clock::now()) {}

std::unique_ptr<Hdf5Reader> SavedWork::load() const {
  if (!std::filesystem::exists(path())) return nullptr;
  auto file = std::make_unique<Hdf5Reader>(path());
  DDPM_CHECK(file->has_attribute("/", "format") && file->string("/", "format") == kFormat &&
                 file->string("/", "key") == key_,
             "{}: not the pass that its name says; remove it to start the pass anew", path());
  return file;
}

void SavedWork::save(bool now, const std::function<void(Hdf5Writer& file)>& write) {
  if (!now && Clock::now() - saved_ < kSaveEvery) return;
  std::filesystem::create_directories(std::filesystem::path(path()).parent_path());
  Hdf5Writer file(path());
  file.set_string("/", "format", kFormat);
  file.set_string("/", "key", key_);
  write(file);
  file.commit();
  saved_ = Clock::now();
}

void SavedWork::remove() const { std::filesystem::remove(path()); }

}  // namespace ddpm
