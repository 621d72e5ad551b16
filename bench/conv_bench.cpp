// Convolutions of the CIFAR-10 network, each pass and every algorithm: GFLOP/s beside the peak that
// a loop of multiply-adds reached in the same run.
//
//   conv_bench [--all] [--batch N] [--threads N] [filter]
//
// --all runs every algorithm instead of the chosen one; filter is a part of a printed name.
#include <fmt/core.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "bench/timing.h"
#include "framework/core/tensor.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/random/random.h"

namespace ddpm {
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

Tensor normal(Shape shape, uint32_t site) {
  Tensor t = Tensor::empty(shape, DType::kF32, Device::kCpu);
  fill_normal({1, site, random_counter(0, 0, Device::kCpu)}, t);
  return t;
}

void run_layer(const Layer& layer, int64_t batch, bool all_algorithms, const std::string& filter) {
  const Conv2dGeometry geometry = Conv2dGeometry::same(layer.kernel, layer.stride);
  const Shape x_shape{batch, layer.extent, layer.extent, layer.in_channels};
  const Shape weight_shape{layer.out_channels, layer.kernel, layer.kernel, layer.in_channels};
  const Shape y_shape = geometry.output_shape(x_shape, weight_shape);
  const Conv2dOperands operands{
      normal(x_shape, 1), normal(weight_shape, 2), {}, normal(y_shape, 3)};
  const Conv2dProblem problem = conv2d_problem(operands.x, operands.weight, operands.y, geometry);
  const double flops = 2.0 * static_cast<double>(y_shape.numel() * weight_shape.numel()) /
                       static_cast<double>(weight_shape[0]);
  for (Conv2dPass pass : kConv2dPasses)
    for (const Conv2dAlgorithm& algorithm : cpu::conv2d_algorithms(pass)) {
      if (!algorithm.supports(problem)) continue;
      const std::string name =
          fmt::format("{:<15} {}x{}x{}x{} k{} {}x{} s{} {}", name_of(pass), batch, layer.extent,
                      layer.extent, layer.in_channels, layer.out_channels, layer.kernel,
                      layer.kernel, layer.stride, algorithm.name);
      if (name.find(filter) != std::string::npos) {
        const bench::Timing t = bench::time_calls([&] { algorithm.run(problem, operands); });
        const double rate = flops / t.seconds;
        fmt::print("{:<58} {:8.3f} ms {:8.1f} GFLOP/s  {:.2f} of {:.0f}  {}/{} samples healthy\n",
                   name, 1e3 * t.seconds, rate / 1e9, rate / bench::fma_peak(),
                   bench::fma_peak() / 1e9, t.healthy, t.samples);
        std::fflush(stdout);
      }
      if (!all_algorithms) break;
    }
}

int run(int argc, char** argv) {
  bool all_algorithms = false;
  std::vector<int64_t> batches{8, 16};
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--all") {
      all_algorithms = true;
    } else if (argument == "--batch" && i + 1 < argc) {
      batches = {std::atoll(argv[++i])};
    } else if (argument == "--threads" && i + 1 < argc) {
      cpu::set_thread_count(std::atoi(argv[++i]));
    } else {
      filter = argument;
    }
  }
  fmt::print("{} threads; best multiply-add probe {:.0f} GFLOP/s\n", cpu::thread_count(),
             bench::fma_peak() / 1e9);
  for (int64_t batch : batches)
    for (const Layer& layer : kLayers) run_layer(layer, batch, all_algorithms, filter);
  return 0;
}

}  // namespace
}  // namespace ddpm

int main(int argc, char** argv) { return ddpm::run(argc, argv); }
