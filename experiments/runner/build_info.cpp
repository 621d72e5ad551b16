#include "experiments/runner/build_info.h"

#include <H5public.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ddpm_build_info.h"  // generated: cmake/BuildInfo.cmake
#include "framework/core/memory.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

// The value after "name : " in /proc/cpuinfo or "NAME=" in /etc/os-release.
std::string find_value(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const size_t end = line.find_last_not_of(" \t\"");
    if (begin != std::string::npos) return line.substr(begin, end - begin + 1);
  }
  return "unknown";
}

}  // namespace

std::string program_version() { return DDPM_VERSION; }
std::string git_describe() { return DDPM_GIT_DESCRIBE; }

nlohmann::ordered_json git_json() {
  const std::string describe = DDPM_GIT_DESCRIBE;
  return {
      {"describe", describe}, {"commit", DDPM_GIT_COMMIT}, {"dirty", describe.ends_with("-dirty")}};
}

nlohmann::ordered_json build_json() {
  const int cuda = memory::gpu_info().runtime_version;
  return {{"version", DDPM_VERSION},
          {"compiler", DDPM_COMPILER},
          {"flags", DDPM_BUILD_TYPE},
          {"cuda", cuda ? nlohmann::ordered_json(memory::cuda_version_name(cuda)) : nullptr},
          {"hdf5", fmt::format("{}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE)}};
}

nlohmann::ordered_json host_json() {
  char name[256] = "unknown";
  gethostname(name, sizeof name - 1);
  return {{"hostname", name},
          {"os", find_value("/etc/os-release", "PRETTY_NAME", '=')},
          {"cpu", find_value("/proc/cpuinfo", "model name", ':')},
          {"threads", cpu::thread_count()}};
}

nlohmann::ordered_json gpu_json() {
  const memory::GpuInfo gpu = memory::gpu_info();
  if (gpu.name.empty()) return nullptr;
  return {{"name", gpu.name},
          {"compute_capability", memory::capability_name(gpu.capability)},
          {"memory_bytes", gpu.memory_bytes},
          {"driver", memory::cuda_version_name(gpu.driver_version)},
          {"runtime", memory::cuda_version_name(gpu.runtime_version)}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace ddpm
