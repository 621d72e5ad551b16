// Every OpCase that names bench_shapes, forward and backward: GFLOP/s beside the peak of the
// machine or GB/s beside that of a large copy, both measured in the same call.
//
//   op_bench [--device cuda] [--dtype bf16] [--scale N] [--json] [filter]
//
// --scale takes N times as many samples as the case names, which is what fills a GPU; filter is a
// part of a printed name.
//
// Bytes count every tensor once: forward inputs and output; backward the output's gradient, the
// inputs and their gradients. Backward FLOPs are twice the forward ones. An op that need not touch
// all of that, or whose tensors stay in a cache, shows more than the copy's rate.
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

void add(Report& report, const OpCase& c, const char* pass, const Timing& t, double flops,
         double bytes, const CommonOptions& options) {
  const bool arithmetic = flops > 0;
  const double rate = (arithmetic ? flops : bytes) / t.seconds;
  Machine& machine = options.machine();
  const double peak = arithmetic ? machine.matmul_peak(options.dtype) : machine.copy_peak();
  const char* unit = arithmetic ? "GFLOP/s" : "GB/s";
  Json figure = {{"op", c.name}, {"pass", pass}, {"dtype", name_of(options.dtype)}};
  figure.update(timing_json(t));
  figure.update(Json{{"rate", rate / 1e9}, {"unit", unit}, {"of_peak", rate / peak}});
  report.add(fmt::format("{:<40} {:>9.4f} {:>9.1f} {:<7} {:>8.2f} {:>6}/{}", c.name + "/" + pass,
                         1e3 * t.seconds, rate / 1e9, unit, rate / peak, t.healthy, t.samples),
             std::move(figure));
}

void run_case(const OpCase& c, const Options& options, Report& report) {
  const auto wanted = [&](const char* pass) {
    return (c.name + "/" + pass).find(options.filter) != std::string::npos;
  };
  if (!wanted("forward") && !wanted("backward")) return;
  const CommonOptions& common = options.common;
  const PoolScope scope(Pool::create(common.device()));
  const Tensors in = make_inputs(c, options);
  const Tensor y = c.run(in);
  const double flops = c.bench_flops * static_cast<double>(options.scale);
  if (wanted("forward"))
    add(report, c, "forward", time_forward(c, in, common.timing), flops,
        total_bytes(in, false) + static_cast<double>(y.bytes()), common);
  const bool differentiable =
      std::any_of(in.begin(), in.end(), std::mem_fn(&Tensor::requires_grad));
  if (!differentiable || !wanted("backward")) return;
  // Random: of a constant gradient some ops make zeros.
  const Tensor dy = testing::make_inputs({.name = "dy", .inputs = {{y.shape()}}, .run = {}},
                                         y.dtype(), common.device())[0]
                        .detach();
  add(report, c, "backward", time_backward(c, in, dy, common.timing), 2 * flops,
      static_cast<double>(dy.bytes()) + total_bytes(in, false) + total_bytes(in, true), common);
}

void run(const Options& options) {
  Report report(options.common, fmt::format("{:<40} {:>9} {:>17} {:>8} {:>8}", "op", "ms", "rate",
                                            "of peak", "healthy"));
  for (const OpCase& c : testing::op_cases()) {
    if (c.bench_shapes.empty()) continue;
    if (options.common.dtype == DType::kBf16 && c.bf16_tolerance == 0) continue;
    run_case(c, options, report);
  }
  report.finish();
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  CLI::App app("Times single ops, the cases of the tests at realistic sizes.");
  ddpm::bench::Options options;
  add_options(app, options.common);
  app.add_option("--scale", options.scale, "times the samples that a case names")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("filter", options.filter, "a part of the name of what to time");
  return ddpm::bench::run_program(app, argc, argv, [&] { ddpm::bench::run(options); });
}
