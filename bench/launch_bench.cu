// What launching costs on a GPU, and what a CUDA graph saves of it: an empty kernel, launched one
// by one and as the node of a graph; then whole steps of the network, eager and replayed.
//
//   launch_bench --device cuda [--dtype bf16] [--network digits] [--batch N] [--json]
//
// Eager steps are those that a run starts with before it captures one.
#include <fmt/format.h>

#include "bench/network.h"
#include "experiments/runner/trainer.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/launch.cuh"

namespace ddpm::bench {
namespace {

__global__ void empty_kernel() {}

// What `step` launches, captured and counted. Nothing is executed.
size_t count_nodes(const std::function<void()>& step) {
  cudaGraph_t graph = nullptr;
  size_t nodes = 0;
  DDPM_CUDA_CHECK(cudaStreamBeginCapture(cuda::stream(), cudaStreamCaptureModeThreadLocal));
  step();
  DDPM_CUDA_CHECK(cudaStreamEndCapture(cuda::stream(), &graph));
  DDPM_CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
  DDPM_CUDA_CHECK(cudaGraphDestroy(graph));
  return nodes;
}

void add(Report& report, const Json& name, size_t nodes, const Timing& eager,
         const Timing& replayed) {
  const double count = static_cast<double>(nodes);
  const auto microseconds = [&](const Timing& t) { return 1e6 * t.seconds / count; };
  Json figure = name;
  figure.update(Json{{"nodes", nodes},
                     {"eager", timing_json(eager)},
                     {"replayed", timing_json(replayed)},
                     {"eager_us_per_launch", microseconds(eager)},
                     {"replayed_us_per_node", microseconds(replayed)}});
  report.add(fmt::format("{:<14} {:>5} {:>6} {:>10.4f} {:>10.4f} {:>12.2f} {:>12.2f}",
                         name["network"].get<std::string>(), name["batch"].get<int64_t>(), nodes,
                         1e3 * eager.seconds, 1e3 * replayed.seconds, microseconds(eager),
                         microseconds(replayed)),
             std::move(figure));
}

void time_empty_kernels(const CommonOptions& options, Report& report) {
  constexpr size_t kLaunches = 1000;
  const auto launch_all = [] {
    for (size_t i = 0; i < kLaunches; ++i) cuda::launch(empty_kernel, 1, 32, 0);
  };
  const std::function<void()> replay = cuda::capture(launch_all);
  add(report, {{"network", "empty kernels"}, {"batch", 1}}, kLaunches,
      time_calls(launch_all, options.timing), time_calls(replay, options.timing));
}

// A training step of its own model: as a trainer runs only its first two steps eagerly, the second
// of them is what is timed or counted.
struct Step {
  Step(const Network& network, int64_t batch, const CommonOptions& options)
      : dataset(network.random_images()),
        config(network.experiment(batch, options.dtype)),
        model(config, dataset, options.device()),
        trainer(model, config, dataset) {
    trainer.step();
  }

  Dataset dataset;
  ExperimentConfig config;
  DiffusionModel model;
  Trainer trainer;
};

void run_figure(const Network& network, int64_t batch, const CommonOptions& options,
                Report& report) {
  if (report.empty()) time_empty_kernels(options, report);
  const Timing eager = time_samples(
      [&] {
        const PoolScope scope(Pool::create(options.device()));
        Step step(network, batch, options);
        options.machine().start(false);
        step.trainer.step();
        return options.machine().stop();
      },
      options.timing);
  const PoolScope scope(Pool::create(options.device()));
  Step step(network, batch, options);
  const size_t nodes = count_nodes([&] { step.trainer.step(); });
  step.trainer.step();  // the trainer's own capture
  const Timing replayed = time_calls([&] { step.trainer.step(); }, options.timing);
  add(report, {{"network", network.name}, {"batch", batch}}, nodes, eager, replayed);
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  const ddpm::bench::NetworkProgram program{
      "Times launches on a GPU, one by one and as a graph.",
      fmt::format("{:<14} {:>5} {:>6} {:>10} {:>10} {:>12} {:>12}", "network", "batch", "nodes",
                  "eager ms", "replay ms", "us/launch", "us/node"),
      {1, 128},
      ddpm::bench::run_figure};
  return program.main(argc, argv);
}
