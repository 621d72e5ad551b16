// ddpm doctor: the facts about this build and this machine that a bug report needs.
#include <fmt/format.h>
#include <hdf5.h>
#include <openssl/crypto.h>
#include <png.h>
#include <spdlog/version.h>
#include <unistd.h>
#include <zlib.h>

#include <Eigen/Core>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "data/registry.h"
#include "experiments/cli/command.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/result.h"
#include "framework/core/memory.h"
#include "framework/cpu/conv2d_algorithms.h"
#ifdef DDPM_WITH_CUDA
#include "framework/cuda/conv2d_algorithms.h"
#endif
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiB = 1024.0 * 1024 * 1024;

// Of the processor's flags those that our kernels, or their next versions, ask for.
std::vector<std::string> instruction_sets() {
  static const std::vector<std::string> known = {
      "sse4_2",      "avx",      "avx2",     "fma",         "f16c",
      "avx512f",     "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
      "avx512_fp16", "amx_tile", "amx_bf16", "asimd",       "sve"};
  std::ifstream file("/proc/cpuinfo");
  std::vector<std::string> found;
  for (std::string line; found.empty() && std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      if (std::find(known.begin(), known.end(), word) != known.end()) found.push_back(word);
  }
  return found;
}

Json hdf5_facts() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  hbool_t threadsafe = false;
  H5is_library_threadsafe(&threadsafe);
  Json filters = Json::array();
  const std::pair<const char*, H5Z_filter_t> known[] = {{"deflate", H5Z_FILTER_DEFLATE},
                                                        {"shuffle", H5Z_FILTER_SHUFFLE},
                                                        {"fletcher32", H5Z_FILTER_FLETCHER32},
                                                        {"szip", H5Z_FILTER_SZIP}};
  for (const auto& [name, filter] : known)
    if (H5Zfilter_avail(filter) > 0) filters.push_back(name);
  return {{"version", fmt::format("{}.{}.{}", major, minor, release)},
          {"threadsafe", static_cast<bool>(threadsafe)},
          {"filters", filters}};
}

Json library_versions() {
  return {{"Eigen",
           fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)},
          {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                              FMT_VERSION % 100)},
          {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                        NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
          {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
          {"libpng", png_get_libpng_ver(nullptr)},
          {"zlib", zlibVersion()},
          {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)}};
}

// Loads each data set that needs no settings.
Json datasets_found() {
  Json found = Json::object();
  for (const std::string& name : datasets().names()) {
    std::unique_ptr<DataSource> source;
    try {
      source = datasets().make(name);
    } catch (const UserError&) {
      found[name] = fmt::format("needs settings: see 'ddpm data inspect {}'", name);
      continue;
    }
    try {
      const Dataset dataset = source->load();
      found[name] = fmt::format("{} + {} images", dataset.train.count, dataset.test.count);
    } catch (const UserError& error) {
      found[name] = error.what();
    }
  }
  return found;
}

// What the device that "auto" takes can compute in.
Json precisions() {
  Json all = Json::array({"f32"});
  try {
    choose_device("auto", "bf16");
    all.push_back("bf16");
  } catch (const UserError&) {  // the GPU is too old for it
  }
  return all;
}

Json facts() {
  Json facts = {{"version", program_version()}, {"git", git_json()}, {"build", build_json()}};
  facts["host"] = host_json();
  facts["processors"] = std::thread::hardware_concurrency();
  facts["instruction_sets"] = instruction_sets();
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  facts["memory_gib"] = std::round(memory / kGiB * 10) / 10;
  std::error_code error;
  const auto space = std::filesystem::space(".", error);
  if (!error)
    facts["free_disk_gib"] = std::round(static_cast<double>(space.available) / kGiB * 10) / 10;
  facts["convolution"] = cpu::describe_conv2d_algorithms();
  facts["hdf5"] = hdf5_facts();
  facts["libraries"] = library_versions();
  const std::string reason = memory::unavailable_reason(Device::kCuda);
  facts["cuda"] = reason.empty() ? "usable" : reason;
  facts["device"] = device_json(choose_device("auto"));
  facts["precisions"] = precisions();
#ifdef DDPM_WITH_CUDA
  facts["cuda_convolution"] = cpu::describe_conv2d_algorithms(cuda::conv2d_algorithms);
#endif
  facts["datasets"] = datasets_found();
  return facts;
}

void print_value(const std::string& name, const Json& value) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) print_value(name + "." + key, inner);
    return;
  }
  if (value.is_array()) {
    fmt::print("{:<26} {}\n", name, fmt::join(value.get<std::vector<std::string>>(), " "));
    return;
  }
  std::istringstream lines(value.is_string() ? value.get<std::string>() : value.dump());
  std::string label = name;
  for (std::string line; std::getline(lines, line); label.clear())
    fmt::print("{:<26} {}\n", label, line);
}

int run_doctor(const OutputOptions& output) {
  const Json all = facts();
  if (output.json) {
    print_json(all);
  } else {
    for (const auto& [name, value] : all.items()) print_value(name, value);
  }
  return kExitOk;
}

}  // namespace

const Command kDoctorCommand = {
    {"doctor",
     "[options]",
     "Prints what a bug report needs to know about this build and this machine. That is: "
     "processor, GPU, threads, the convolution algorithms chosen, libraries, disk, and the data "
     "sets found.",
     {"ddpm doctor", "ddpm doctor --json > doctor.json"}},
    [](CommandLine& line) -> std::function<int()> {
      return [&line] { return run_doctor(line.output()); };
    }};

}  // namespace ddpm
