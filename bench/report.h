// What all benchmarks have in common: their options, and a report that is a table for people or one
// JSON object for programs. The object names the commit, the build, the processors or the card, and
// the peaks that were measured in the same call.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/timing.h"

namespace ddpm::bench {

using Json = nlohmann::ordered_json;

struct CommonOptions {
  DType dtype = DType::kF32;
  int threads = 0;
  bool json = false;
  TimingOptions timing;  // with the device

  Device device() const { return timing.device; }
  Machine& machine() const { return Machine::of(timing.device); }
};

// --device, --dtype, --threads, --samples, --budget, --json. The defaults are those in `options`.
void add_options(CLI::App& app, CommonOptions& options);

class Report {
 public:
  // Sets the number of threads; `columns` is the head of the table.
  Report(const CommonOptions& options, const std::string& columns);
  // A row of the table, or what stands for it in the JSON object.
  void add(const std::string& row, Json figure);
  bool empty() const { return results_.empty(); }
  void finish();

 private:
  const CommonOptions& options_;
  std::string started_;
  Json results_ = Json::array();
};

// What every figure says about how it was timed.
Json timing_json(const Timing& timing);

// Parses and runs; a UserError is one line on standard error and exit code 1.
int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& run);

}  // namespace ddpm::bench
