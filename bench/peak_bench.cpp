// What this machine can do at most, to judge every other figure by: multiply-adds, a large copy,
// and the price of handing work to the threads.
//
//   peak_bench [--device cuda] [--threads N] [--json]
//
// Processors: multiply-adds out of registers (bf16: AMX where they have it), a copy of 256 MiB, an
// empty parallel loop. GPU: matrix products of 8192^3 random numbers in f32 and bf16 by cuBLAS, a
// copy of 1 GiB; what an empty launch costs is launch_bench's figure.
#include <fmt/format.h>

#include "bench/report.h"
#include "framework/cpu/parallel.h"

namespace ddpm::bench {
namespace {

void run(const CommonOptions& options) {
  Report report(options, fmt::format("{:<16} {:>12}", "peak", "value"));
  const auto add = [&](const std::string& name, double value, const char* unit) {
    report.add(fmt::format("{:<16} {:>12.5g} {}", name, value, unit),
               {{"name", name}, {"value", value}, {"unit", unit}});
  };
  Machine& machine = options.machine();
  for (DType dtype : {DType::kF32, DType::kBf16})
    add(fmt::format("matmul {}", name_of(dtype)), machine.matmul_peak(dtype) / 1e12, "TFLOP/s");
  add("copy", machine.copy_peak() / 1e9, "GB/s");
  if (options.device() == Device::kCuda) {
    add("L2 cache", static_cast<double>(machine.l2_bytes()) / 1048576, "MiB");
    return report.finish();
  }
  const int64_t threads = cpu::thread_count();
  const auto fork_and_join = [&] { cpu::parallel_for(threads, [](int64_t) {}); };
  add("fork and join", 1e6 * time_calls(fork_and_join, options.timing).seconds, "us");
  report.finish();
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  CLI::App app("Measures the machine's peaks.");
  ddpm::bench::CommonOptions options;
  add_options(app, options);
  return ddpm::bench::run_program(app, argc, argv, [&] { ddpm::bench::run(options); });
}
