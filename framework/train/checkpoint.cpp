#include "framework/train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/io/file.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

constexpr const char* kFormat = "ddpm.checkpoint";
constexpr int64_t kFormatVersion = 1;

constexpr const char* kTimestepLosses = "/state/timestep_losses";
constexpr const char* kTimestepCounts = "/state/timestep_counts";

std::string decay_group(double decay) { return fmt::format("/ema/{}", decay); }

CheckpointInfo read_info(const Hdf5Reader& file) {
  DDPM_CHECK(file.has_attribute("/", "format") && file.string("/", "format") == kFormat,
             "{}: not a ddpm checkpoint (its attribute 'format' is not '{}')", file.path(),
             kFormat);
  const int64_t version = file.integer("/", "format_version");
  DDPM_CHECK(version == kFormatVersion, "{}: format version {}; this program reads version {}",
             file.path(), version, kFormatVersion);
  CheckpointInfo info;
  info.step = file.integer("/", "step");
  info.images_seen = file.integer("/", "images_seen");
  info.config_json = file.string("/", "config_json");
  info.config_hash = file.string("/", "config_hash");
  info.ddpm_version = file.string("/", "ddpm_version");
  info.git_describe = file.string("/", "git_describe");
  info.seed = static_cast<uint64_t>(file.integer("/rng", "seed"));
  info.loss_sum = file.number("/state", "loss_sum");
  info.loss_steps = file.integer("/state", "loss_steps");
  info.first_nonfinite_step = file.integer("/state", "first_nonfinite_step");
  for (const std::string& name : file.list("/ema"))
    info.average_decay.push_back(file.number("/ema/" + name, "decay"));
  if (file.has(kTimestepLosses)) {
    const Shape losses = file.info(kTimestepLosses).shape,
                counts = file.info(kTimestepCounts).shape;
    info.timestep_losses = file.read<float>(kTimestepLosses, losses);
    info.timestep_counts = file.read<int32_t>(kTimestepCounts, counts);
  }
  return info;
}

}  // namespace

void write_parameters(Hdf5Writer& file, const std::string& group, const Parameters& parameters,
                      const Tensor& flat) {
  file.group(group);
  std::vector<std::byte> host;
  for (const Parameters::Slot& slot : parameters.slots()) {
    const Tensor values = Parameters::part(flat, slot);
    host.resize(values.bytes());
    values.copy_to_host(host.data());
    file.array(group + "/" + slot.path, slot.shape, values.dtype(), host.data());
  }
}

void read_parameters(const Hdf5Reader& file, const std::string& group, const Parameters& parameters,
                     const Tensor& flat) {
  std::set<std::string> unread;
  for (const std::string& path : file.arrays(group)) unread.insert(path);
  std::vector<std::byte> host;
  for (const Parameters::Slot& slot : parameters.slots()) {
    const std::string path = group + "/" + slot.path;
    Tensor values = Parameters::part(flat, slot);
    host.resize(values.bytes());
    file.read(path, slot.shape, values.dtype(), host.data());
    values.copy_from_host(host.data());
    unread.erase(path);
  }
  DDPM_CHECK(unread.empty(), "{}: '{}' belongs to another model: this one has no such parameter",
             file.path(), *unread.begin());
}

void save_checkpoint(const std::string& path, const CheckpointInfo& info,
                     const Parameters& parameters) {
  DDPM_ASSERT(info.average_decay.size() == parameters.averages.size(), "{} decays, {} averages",
              info.average_decay.size(), parameters.averages.size());
  Hdf5Writer file(path);
  file.set_string("/", "format", kFormat);
  file.set_integer("/", "format_version", kFormatVersion);
  file.set_string("/", "ddpm_version", info.ddpm_version);
  file.set_string("/", "git_describe", info.git_describe);
  file.set_integer("/", "step", info.step);
  file.set_integer("/", "images_seen", info.images_seen);
  file.set_string("/", "config_json", info.config_json);
  file.set_string("/", "config_hash", info.config_hash);
  file.set_string("/", "dtype", name_of(parameters.master.dtype()));
  file.set_integer("/", "parameter_count", parameters.count());
  write_parameters(file, "/params", parameters, parameters.master);
  file.group("/ema");
  for (size_t i = 0; i < info.average_decay.size(); ++i) {
    const std::string group = decay_group(info.average_decay[i]);
    write_parameters(file, group, parameters, parameters.averages[i]);
    file.set_number(group, "decay", info.average_decay[i]);
  }
  write_parameters(file, "/optimizer/m", parameters, parameters.moment1);
  write_parameters(file, "/optimizer/v", parameters, parameters.moment2);
  file.group("/rng");
  file.set_string("/rng", "algorithm", "philox4x32-10");
  file.set_integer("/rng", "seed", static_cast<int64_t>(info.seed));
  file.group("/state");
  file.set_number("/state", "loss_sum", info.loss_sum);
  file.set_integer("/state", "loss_steps", info.loss_steps);
  file.set_integer("/state", "first_nonfinite_step", info.first_nonfinite_step);
  if (const int64_t timesteps = std::ssize(info.timestep_counts); timesteps > 0) {
    file.array(kTimestepLosses, {timesteps, std::ssize(info.timestep_losses) / timesteps},
               std::span<const float>(info.timestep_losses));
    file.array(kTimestepCounts, {timesteps}, std::span<const int32_t>(info.timestep_counts));
  }
  file.commit();
}

CheckpointInfo read_checkpoint_info(const std::string& path) { return read_info(Hdf5Reader(path)); }

CheckpointInfo load_checkpoint(const std::string& path, Parameters& parameters) {
  const Hdf5Reader file(path);
  CheckpointInfo info = read_info(file);
  DDPM_CHECK(info.average_decay.size() == parameters.averages.size(),
             "{}: holds {} running averages, the configuration asks for {}", path,
             info.average_decay.size(), parameters.averages.size());
  read_parameters(file, "/params", parameters, parameters.master);
  for (size_t i = 0; i < parameters.averages.size(); ++i)
    read_parameters(file, decay_group(info.average_decay[i]), parameters, parameters.averages[i]);
  read_parameters(file, "/optimizer/m", parameters, parameters.moment1);
  read_parameters(file, "/optimizer/v", parameters, parameters.moment2);
  parameters.use_master();
  return info;
}

CheckpointInfo load_weights(const std::string& path, const std::string& weights,
                            Parameters& parameters) {
  const Hdf5Reader file(path);
  CheckpointInfo info = read_info(file);
  const std::vector<std::string> names = weight_names(info.average_decay.size());
  const auto found = std::find(names.begin(), names.end(), weights);
  DDPM_CHECK(found != names.end(), "{}: no weights '{}'; it holds: {}", path, weights,
             fmt::join(names, ", "));
  const int average = average_index(weights);
  read_parameters(file, average < 0 ? "/params" : decay_group(info.average_decay[average]),
                  parameters, parameters.master);
  parameters.use_master();
  return info;
}

void publish_latest(const std::string& folder, const std::string& file_name, int64_t step) {
  const nlohmann::ordered_json latest = {{"schema", "ddpm.latest/1"},
                                         {"file", file_name},
                                         {"step", step},
                                         {"sha256", sha256_file(folder + "/" + file_name)}};
  write_file_atomically(folder + "/latest.json", latest.dump(2) + "\n");
}

std::string find_latest(const std::string& folder) {
  const std::string pointer = folder + "/latest.json";
  if (!std::filesystem::exists(pointer)) return "";
  const auto latest = nlohmann::json::parse(read_text_file(pointer), nullptr, false);
  DDPM_CHECK(latest.is_object() && latest.contains("file") && latest["file"].is_string() &&
                 latest.contains("sha256") && latest["sha256"].is_string(),
             "{}: not a JSON object with the strings 'file' and 'sha256'", pointer);
  const std::string path = folder + "/" + latest["file"].get<std::string>();
  DDPM_CHECK(std::filesystem::exists(path), "{}: names {}, which does not exist", pointer, path);
  DDPM_CHECK(sha256_file(path) == latest["sha256"].get<std::string>(),
             "{}: damaged: its SHA-256 is not the one that {} recorded", path, pointer);
  return path;
}

}  // namespace ddpm
