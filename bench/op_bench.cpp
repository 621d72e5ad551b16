// Every OpCase that names bench_shapes, forward and backward: GFLOP/s beside the peak of the
// machine or GB/s beside that of a large copy, both measured in the same call.
//
//   op_bench [--device cuda] [--dtype bf16] [--scale N] [--json] [filter]
//   op_bench --benchmark_out=ops.json --benchmark_filter='Conv2d.*/backward'
//
// Google Benchmark registers, filters and reports; time comes from timing.h, as everywhere here.
// --scale takes N times as many samples as the case names, which is what fills a GPU; filter is a
// regular expression that a part of a printed name matches.
//
// Bytes count every tensor once: forward inputs and output; backward the output's gradient, the
// inputs and their gradients. Backward FLOPs are twice the forward ones. An op that need not touch
// all of that, or whose tensors stay in a cache, shows more than the copy's rate.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "bench/report.h"
#include "framework/autograd/tape.h"
#include "framework/core/pool.h"
#include "tests/op_case.h"

namespace ddpm::bench {
namespace {

using testing::OpCase;
using testing::Tensors;

struct Options {
  CommonOptions common;
  int64_t scale = 1;
  std::string filter;
};

double total_bytes(const Tensors& tensors, bool differentiable_only) {
  double bytes = 0;
  for (const Tensor& t : tensors)
    if (t.requires_grad() || !differentiable_only) bytes += static_cast<double>(t.bytes());
  return bytes;
}

// The samples of a case are the first axis of its first input, and of others of the same extent.
Tensors make_inputs(const OpCase& c, const Options& options) {
  std::vector<Shape> shapes = c.bench_shapes;
  const int64_t samples = shapes[0][0];
  for (Shape& shape : shapes)
    if (shape.rank() > 1 && shape[0] == samples) shape = shape.with_outer(samples * options.scale);
  return testing::make_inputs(c, options.common.dtype, options.common.device(), shapes);
}

Timing time_forward(const OpCase& c, const Tensors& in, const TimingOptions& options) {
  return time_calls([&] { c.run(in); }, options);
}

Timing time_backward(const OpCase& c, const Tensors& in, const Tensor& dy,
                     const TimingOptions& options) {
  Machine& machine = Machine::of(options.device);
  const Tensor loss = Tensor::zeros({1}, DType::kF32, options.device);
  const auto backward = [&] {
    Tape tape;
    const Tensor y = c.run(in);
    // A loss that costs nothing: its gradient for y is dy.
    Tape::record("seed", {y}, loss, [&](const Tensor&) { accumulate_grad(y.slot(), dy); });
    machine.start(options.cold);
    tape.backward(loss);
    const double seconds = machine.stop();
    for (const Tensor& x : in) x.grad() = Tensor();
    return seconds;
  };
  backward();  // fills the pool
  return time_samples(backward, options);
}

// The inputs, and what a pass costs.
struct Work {
  Tensors in;
  Tensor y;
  double flops = 0, forward_bytes = 0, backward_bytes = 0;

  Work(const OpCase& c, const Options& options)
      : in(make_inputs(c, options)),
        y(c.run(in)),
        flops(c.bench_flops * static_cast<double>(options.scale)) {
    forward_bytes = total_bytes(in, false) + static_cast<double>(y.bytes());
    backward_bytes = forward_bytes + total_bytes(in, true);
  }
};

void run_benchmark(benchmark::State& state, const OpCase& c, bool is_backward,
                   const Options& options) {
  const CommonOptions& common = options.common;
  const PoolScope scope(Pool::create(common.device()));
  const Work work(c, options);
  Timing t;
  for ([[maybe_unused]] auto once : state) {
    if (is_backward) {
      // Random: of a constant gradient some ops make zeros.
      const Tensor dy =
          testing::make_inputs({.name = "dy", .inputs = {{work.y.shape()}}, .run = {}},
                               work.y.dtype(), common.device())[0]
              .detach();
      t = time_backward(c, work.in, dy, common.timing);
    } else {
      t = time_forward(c, work.in, common.timing);
    }
    state.SetIterationTime(t.seconds);
  }
  const double flops = is_backward ? 2 * work.flops : work.flops;
  const double bytes = is_backward ? work.backward_bytes : work.forward_bytes;
  state.counters = {
      {"best_seconds", t.best},
      {"healthy", t.healthy},
      {"samples", t.samples},
      {"probe_min", t.probe_min},
      {"probe_max", t.probe_max},
      {flops > 0 ? "flop_per_s" : "byte_per_s", (flops > 0 ? flops : bytes) / t.seconds}};
}

// Google Benchmark's results in the format of the other programs.
class Reporter : public benchmark::BenchmarkReporter {
 public:
  Reporter(Report& report, const CommonOptions& options) : report_(report), options_(options) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) add(run);
  }

 private:
  void add(const Run& run) {
    const auto counter = [&](const char* name) { return run.counters.at(name).value; };
    const std::string& name = run.run_name.function_name;
    const size_t slash = name.find('/');
    const bool arithmetic = run.counters.contains("flop_per_s");
    const double rate = counter(arithmetic ? "flop_per_s" : "byte_per_s");
    Machine& machine = options_.machine();
    const double peak = arithmetic ? machine.matmul_peak(options_.dtype) : machine.copy_peak();
    const char* unit = arithmetic ? "GFLOP/s" : "GB/s";
    const Timing t{run.real_accumulated_time,
                   counter("best_seconds"),
                   static_cast<int>(counter("healthy")),
                   static_cast<int>(counter("samples")),
                   counter("probe_min"),
                   counter("probe_max")};
    Json figure = {{"op", name.substr(0, slash)},
                   {"pass", name.substr(slash + 1)},
                   {"dtype", name_of(options_.dtype)}};
    figure.update(timing_json(t));
    figure.update(Json{{"rate", rate / 1e9}, {"unit", unit}, {"of_peak", rate / peak}});
    report_.add(fmt::format("{:<40} {:>9.4f} {:>9.1f} {:<7} {:>8.2f} {:>6}/{}", name,
                            1e3 * t.seconds, rate / 1e9, unit, rate / peak, t.healthy, t.samples),
                std::move(figure));
  }

  Report& report_;
  const CommonOptions& options_;
};

bool is_differentiable(const OpCase& c) {
  return std::any_of(c.inputs.begin(), c.inputs.end(), [](const testing::Input& input) {
    return input.differentiable && !input.integer;
  });
}

void run(const Options& options) {
  for (const OpCase& c : testing::op_cases()) {
    if (c.bench_shapes.empty()) continue;
    if (options.common.dtype == DType::kBf16 && c.bf16_tolerance == 0) continue;
    for (const bool is_backward : {false, true}) {
      if (is_backward && !is_differentiable(c)) continue;
      const std::string name = c.name + (is_backward ? "/backward" : "/forward");
      benchmark::RegisterBenchmark(name.c_str(), run_benchmark, c, is_backward, options)
          ->UseManualTime()
          ->Iterations(1);
    }
  }
  Report report(options.common, fmt::format("{:<40} {:>9} {:>17} {:>8} {:>8}", "op", "ms", "rate",
                                            "of peak", "healthy"));
  Reporter reporter(report, options.common);
  if (options.filter.empty())
    benchmark::RunSpecifiedBenchmarks(&reporter);
  else
    benchmark::RunSpecifiedBenchmarks(&reporter, options.filter);
  report.finish();
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes --benchmark_...
  CLI::App app("Times single ops, the cases of the tests at realistic sizes.");
  ddpm::bench::Options options;
  add_options(app, options.common);
  app.add_option("--scale", options.scale, "times the samples that a case names")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("filter", options.filter, "a regular expression for what to time");
  return ddpm::bench::run_program(app, argc, argv, [&] { ddpm::bench::run(options); });
}
