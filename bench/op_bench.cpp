// Every OpCase that names bench_shapes, forward and backward, f32: GFLOP/s beside the peak of the
// multiply-add units, or GB/s beside that of a large copy, both measured in the same call.
//
//   op_bench [--threads N] [--budget SECONDS] [--samples N] [options of Google Benchmark]
//
// Bytes count every tensor once: forward inputs and output; backward the output's gradient, the
// inputs and their gradients. Backward FLOPs are twice the forward ones. An op that need not touch
// all of that, or whose tensors stay in a cache, shows more than the copy's rate.
//
// Each row is one iteration of Google Benchmark: the median that bench/timing.h arrives at.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "bench/timing.h"
#include "framework/autograd/tape.h"
#include "framework/core/pool.h"
#include "framework/cpu/parallel.h"
#include "tests/op_case.h"

namespace ddpm::bench {
namespace {

using testing::OpCase;
using testing::Tensors;

double total_bytes(const Tensors& tensors, bool differentiable_only) {
  double bytes = 0;
  for (const Tensor& t : tensors)
    if (t.requires_grad() || !differentiable_only) bytes += static_cast<double>(t.bytes());
  return bytes;
}

void report(benchmark::State& state, const Timing& timing, double flops, double bytes) {
  state.SetIterationTime(timing.seconds);
  if (flops > 0) {
    state.counters["GFLOP/s"] = flops / timing.seconds / 1e9;
    state.counters["of_peak"] = flops / timing.seconds / fma_peak();
  } else {
    state.counters["GB/s"] = bytes / timing.seconds / 1e9;
    state.counters["of_peak"] = bytes / timing.seconds / copy_peak();
  }
  state.counters["healthy"] = timing.healthy;
  state.counters["samples"] = timing.samples;
}

void run_forward(benchmark::State& state, const OpCase& c, const TimingOptions& options) {
  const PoolScope scope(Pool::create(Device::kCpu));
  const Tensors in = testing::make_inputs(c, DType::kF32, Device::kCpu, c.bench_shapes);
  const double bytes = total_bytes(in, false) + static_cast<double>(c.run(in).bytes());
  for ([[maybe_unused]] auto _ : state)
    report(state, time_calls([&] { c.run(in); }, options), c.bench_flops, bytes);
}

void run_backward(benchmark::State& state, const OpCase& c, const TimingOptions& options) {
  const PoolScope scope(Pool::create(Device::kCpu));
  const Tensors in = testing::make_inputs(c, DType::kF32, Device::kCpu, c.bench_shapes);
  const Tensor loss = Tensor::zeros({1}, DType::kF32, Device::kCpu);
  Tensor dy;  // random: of a constant one some ops have no gradient
  const auto backward = [&] {
    Tape tape;
    const Tensor y = c.run(in);
    if (!dy)
      dy = testing::make_inputs({.name = "dy", .inputs = {{y.shape()}}, .run = {}}, y.dtype())[0]
               .detach();
    // A loss that costs nothing: its gradient for y is dy.
    Tape::record("seed", {y}, loss, [&](const Tensor&) { accumulate_grad(y.slot(), dy); });
    const double start = seconds_now();
    tape.backward(loss);
    const double seconds = seconds_now() - start;
    for (const Tensor& x : in) x.grad() = Tensor();
    return seconds;
  };
  backward();  // fills the pool
  const double bytes =
      static_cast<double>(dy.bytes()) + total_bytes(in, false) + total_bytes(in, true);
  for ([[maybe_unused]] auto _ : state)
    report(state, time_samples(backward, options), 2 * c.bench_flops, bytes);
}

void register_cases(const TimingOptions& options) {
  for (const OpCase& c : testing::op_cases()) {
    if (c.bench_shapes.empty()) continue;
    const auto add = [&](const char* pass, auto* run) {
      benchmark::RegisterBenchmark(
          (c.name + "/" + pass).c_str(),
          [&c, run, options](benchmark::State& state) { run(state, c, options); })
          ->Iterations(1)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    };
    add("forward", run_forward);
    for (const testing::Input& input : c.inputs)
      if (input.differentiable && !input.integer) {
        add("backward", run_backward);
        break;
      }
  }
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  TimingOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--threads" && i + 1 < argc) {
      cpu::set_thread_count(std::atoi(argv[++i]));
    } else if (name == "--budget" && i + 1 < argc) {
      options.budget_seconds = std::atof(argv[++i]);
    } else if (name == "--samples" && i + 1 < argc) {
      options.samples = std::atoi(argv[++i]);
    } else {
      fmt::print(stderr, "op_bench: unknown argument '{}'\n", name);
      return 2;
    }
  }
  benchmark::AddCustomContext("threads", fmt::format("{}", cpu::thread_count()));
  benchmark::AddCustomContext("fma_peak", fmt::format("{:.1f} GFLOP/s", fma_peak() / 1e9));
  benchmark::AddCustomContext("copy_peak", fmt::format("{:.1f} GB/s", copy_peak() / 1e9));
  register_cases(options);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) { return ddpm::bench::run(argc, argv); }
