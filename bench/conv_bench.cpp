// Convolutions of the CIFAR-10 network, each pass and every algorithm: TFLOP/s beside the peak that
// was measured in the same call.
//
//   conv_bench [--device cuda] [--dtype bf16] [--batch N] [--all] [--json] [filter]
//
// --all runs every algorithm instead of the chosen one; filter is a part of a printed name.
#include <fmt/format.h>

#include <vector>

#include "bench/random_tensor.h"
#include "bench/report.h"
#include "framework/core/pool.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#ifdef DDPM_WITH_CUDA
#include "framework/cuda/conv2d_algorithms.h"
#endif

namespace ddpm::bench {
namespace {

struct Layer {
  int extent;  // of the image, before the stride
  int in_channels, out_channels;
  int kernel = 3, stride = 1;
};

// The shapes that make up 90 % of the network's work, largest share first, then the special ones.
constexpr Layer kLayers[] = {
    {32, 128, 128}, {16, 256, 256},       {16, 512, 256}, {32, 256, 256}, {32, 256, 128},
    {32, 384, 128}, {16, 256, 256, 1},    {8, 256, 256},  {8, 512, 256},  {16, 384, 256},
    {4, 256, 256},  {32, 128, 128, 3, 2}, {32, 3, 128},   {32, 128, 3},
};

struct Options {
  CommonOptions common;
  bool all_algorithms = false;
  int64_t batch = 0;
  std::string filter;
};

// The algorithms to time, best first: those that support the problem, or only the one that runs.
std::vector<Conv2dAlgorithm> algorithms_for(Conv2dPass pass, const Conv2dProblem& problem,
                                            const Options& options) {
  std::span<const Conv2dAlgorithm> table;
  DDPM_DISPATCH_RESULT(options.common.device(), table, conv2d_algorithms(pass));
  if (!options.all_algorithms) return {cpu::choose_conv2d_algorithm(table, pass, problem)};
  std::vector<Conv2dAlgorithm> supported;
  for (const Conv2dAlgorithm& algorithm : table)
    if (algorithm.supports(problem)) supported.push_back(algorithm);
  return supported;
}

void run_layer(const Layer& layer, int64_t batch, const Options& options, Report& report) {
  const CommonOptions& common = options.common;
  const Conv2dGeometry geometry = Conv2dGeometry::same(layer.kernel, layer.stride);
  const Shape x_shape{batch, layer.extent, layer.extent, layer.in_channels};
  const Shape weight_shape{layer.out_channels, layer.kernel, layer.kernel, layer.in_channels};
  const Shape y_shape = geometry.output_shape(x_shape, weight_shape);
  const std::string name =
      fmt::format("{}x{}x{}x{} k{} {}x{} s{}", batch, layer.extent, layer.extent, layer.in_channels,
                  layer.out_channels, layer.kernel, layer.kernel, layer.stride);
  const double flops = 2.0 * static_cast<double>(y_shape.numel() * weight_shape.numel()) /
                       static_cast<double>(weight_shape[0]);

  const PoolScope scope(Pool::create(common.device()));
  const auto random = [&](const Shape& shape, uint32_t site) {
    return random_tensor(shape, common.dtype, common.device(), site);
  };
  Conv2dOperands operands{random(x_shape, 1), random(weight_shape, 2), {}, random(y_shape, 3)};
  const Conv2dProblem problem = conv2d_problem(operands.x, operands.weight, operands.y, geometry);
  for (Conv2dPass pass : kConv2dPasses) {
    if (pass == Conv2dPass::kBackwardWeight)  // the last: weight gradients are never bf16
      operands.weight = Tensor::empty(weight_shape, accumulator_of(common.dtype), common.device());
    for (const Conv2dAlgorithm& algorithm : algorithms_for(pass, problem, options)) {
      const std::string row = fmt::format("{:<15} {:<26} {}", name_of(pass), name, algorithm.name);
      if (row.find(options.filter) == std::string::npos) continue;
      const Timing t = time_calls([&] { algorithm.run(problem, operands); }, common.timing);
      const double rate = flops / t.seconds;
      const double of_peak = rate / common.machine().matmul_peak(common.dtype);
      Json figure = {{"pass", name_of(pass)},
                     {"shape", name},
                     {"batch", batch},
                     {"extent", layer.extent},
                     {"in_channels", layer.in_channels},
                     {"out_channels", layer.out_channels},
                     {"kernel", layer.kernel},
                     {"stride", layer.stride},
                     {"algorithm", algorithm.name},
                     {"dtype", name_of(common.dtype)}};
      figure.update(timing_json(t));
      figure.update(Json{{"tflops", rate / 1e12}, {"of_peak", of_peak}});
      report.add(fmt::format("{:<58} {:>9.4f} {:>9.4g} {:>8.2f} {:>6}/{}", row, 1e3 * t.seconds,
                             rate / 1e12, of_peak, t.healthy, t.samples),
                 std::move(figure));
    }
  }
}

void run(const Options& options) {
  Report report(options.common, fmt::format("{:<58} {:>9} {:>9} {:>8} {:>8}", "convolution", "ms",
                                            "TFLOP/s", "of peak", "healthy"));
  std::vector<int64_t> batches{8, 16};
  if (options.common.device() == Device::kCuda) batches = {128};
  if (options.batch > 0) batches = {options.batch};
  for (int64_t batch : batches)
    for (const Layer& layer : kLayers) run_layer(layer, batch, options, report);
  report.finish();
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  CLI::App app("Times the convolutions of the CIFAR-10 network.");
  ddpm::bench::Options options;
  add_options(app, options.common);
  app.add_flag("--all", options.all_algorithms,
               "every algorithm instead of the one that is chosen");
  app.add_option("--batch", options.batch, "0: 8 and 16 on the CPU, 128 on a GPU")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  app.add_option("filter", options.filter, "a part of the name of what to time");
  return ddpm::bench::run_program(app, argc, argv, [&] { ddpm::bench::run(options); });
}
