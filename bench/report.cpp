#include "bench/report.h"

#include <fmt/format.h>

#include <cstdio>

#include "experiments/runner/build_info.h"
#include "framework/cpu/parallel.h"

namespace ddpm::bench {

void add_options(CLI::App& app, CommonOptions& options) {
  const auto choose_device = [&](const std::string& name) {
    options.timing.device = name == "cuda" ? Device::kCuda : Device::kCpu;
  };
  const auto choose_dtype = [&](const std::string& name) {
    options.dtype = name == "bf16" ? DType::kBf16 : DType::kF32;
  };
  app.add_option_function<std::string>("--device", choose_device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->default_str("cpu");
  app.add_option_function<std::string>("--dtype", choose_dtype, "f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->default_str("f32");
  app.add_option("--threads", options.threads, "0: all processors")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--samples", options.timing.samples, "healthy samples wanted for a figure")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--budget", options.timing.budget_seconds, "seconds for a figure, about")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--json", options.json, "one JSON object instead of a table");
}

Report::Report(const CommonOptions& options, const std::string& columns)
    : options_(options), started_(utc_now()) {
  cpu::set_thread_count(options.threads);
  if (options.json) return;
  fmt::print("{}; {} peak {:.4g} TFLOP/s\n{}\n",
             options.device() == Device::kCuda ? gpu_json()["name"].get<std::string>()
                                               : fmt::format("{} threads", cpu::thread_count()),
             name_of(options.dtype), options.machine().matmul_peak(options.dtype) / 1e12, columns);
  std::fflush(stdout);
}

void Report::add(const std::string& row, Json figure) {
  results_.push_back(std::move(figure));
  if (options_.json) return;
  fmt::print("{}\n", row);
  std::fflush(stdout);
}

void Report::finish() {
  if (!options_.json) return;
  Machine& machine = options_.machine();
  const Json report = {{"git", git_json()},
                       {"build", build_json()},
                       {"host", host_json()},
                       {"device", name_of(options_.device())},
                       {"gpu", options_.device() == Device::kCuda ? gpu_json() : Json()},
                       {"dtype", name_of(options_.dtype)},
                       {"started", started_},
                       {"peak_tflops", machine.matmul_peak(options_.dtype) / 1e12},
                       {"copy_gb_per_s", machine.copy_peak() / 1e9},
                       {"results", results_}};
  fmt::print("{}\n", report.dump(2, ' ', false, Json::error_handler_t::replace));
}

Json timing_json(const Timing& timing) {
  Json json = {{"median_ms", 1e3 * timing.seconds},
               {"best_ms", 1e3 * timing.best},
               {"healthy_samples", timing.healthy},
               {"samples", timing.samples}};
  if (timing.probe_max > 0) json["probe_gflops"] = {timing.probe_min / 1e9, timing.probe_max / 1e9};
  return json;
}

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& run) {
  CLI11_PARSE(app, argc, argv);
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace ddpm::bench
