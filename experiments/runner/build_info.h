// What a result must say about the program and the machine that made it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ddpm {

std::string program_version();  // "0.1.0"
std::string git_describe();     // "v0.1.0-12-gabc1234-dirty", or "unknown" outside a checkout

nlohmann::ordered_json git_json();    // describe, commit, dirty
nlohmann::ordered_json build_json();  // version, compiler, flags, hdf5, ...
nlohmann::ordered_json host_json();   // hostname, os, cpu, threads
// name, compute capability, memory, driver and runtime; null where no GPU can be asked
nlohmann::ordered_json gpu_json();

// "2026-11-22T07:15:00Z"
std::string utc_now();
// Peak resident memory of this process.
int64_t peak_memory_bytes();

}  // namespace ddpm
