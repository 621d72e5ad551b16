// A whole training step and a whole sampling step, f32: milliseconds, images/s, the rate at which
// the network's own arithmetic is done, and the memory of the step.
//
//   step_bench                                            # digits at 128; CIFAR-10 at 1, 16, 128
//   step_bench --network cifar10 --batch 16 --work train --json
//
// Training: batch, t and noise drawn, q(x_t | x_0), forward with dropout, loss, backward, clipping,
// Adam, running average (experiments/runner/trainer.cpp, as `ddpm train` runs it). Sampling: one
// ancestral step with its noise. The images are random. bench/peers times the same in PyTorch.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/timing.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/trainer.h"
#include "framework/cpu/parallel.h"

namespace ddpm::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Network {
  const char* name;
  const char* config;
  Shape image;  // (H, W, C)
  int levels;
  std::vector<int64_t> batches;
  // Multiply-adds of convolutions, linear maps and attention, counted twice, in GFLOP per image.
  // Training is three times forward, less the first convolution's gradient for its input.
  double forward, training;
};

const Network kNetworks[] = {
    {"digits",
     R"({"model": {"name": "unet", "base_channels": 32, "channel_multipliers": [1, 2],
                   "attention_resolutions": [4]}})",
     {8, 8, 1},
     17,
     {128},
     0.04591616,
     0.137703424},
    {"cifar10", "{}", {32, 32, 3}, 256, {1, 16, 128}, 12.443713536, 37.323931648},
};

struct Options {
  std::string network = "all", work = "both";
  int64_t batch = 0;
  int threads = 0;
  TimingOptions timing{.budget_seconds = 60, .samples = 5};
  bool json = false;
};

Dataset random_images(const Network& network) {
  Dataset dataset;
  dataset.image_shape = network.image;
  dataset.levels = network.levels;
  dataset.train.count = 512;
  Tensor values =
      Tensor::empty({dataset.train.count * network.image.numel()}, DType::kI32, Device::kCpu);
  fill_randint({1, random_site("bench/images"), random_counter(0, 0, Device::kCpu)}, network.levels,
               values);
  for (int32_t value : values.to_host<int32_t>())
    dataset.train.pixels.push_back(static_cast<uint8_t>(value));
  return dataset;
}

struct Figure {
  Timing timing;
  size_t peak_bytes;  // of the step's pool: activations, gradients of activations, scratch
  int64_t parameters;
};

Figure time_training(const Network& network, ExperimentConfig& config,
                     const TimingOptions& options) {
  const Dataset dataset = random_images(network);
  DiffusionModel model(config, dataset, Device::kCpu);
  Trainer trainer(model, config, dataset);
  const Timing timing = time_calls([&] { trainer.step(); }, options);
  if (trainer.read_scalars().first_nonfinite_step >= 0) fail("a gradient was not finite");
  return {timing, trainer.pool().peak_bytes_in_use(), model.parameters.count()};
}

Figure time_sampling(const Network& network, ExperimentConfig& config,
                     const TimingOptions& options) {
  const Dataset dataset = random_images(network);
  DiffusionModel model(config, dataset, Device::kCpu);
  const std::shared_ptr<Pool> pool = Pool::create(Device::kCpu);
  const PoolScope scope(pool);
  const Shape& image = network.image;
  ReverseChain chain(model.process, *config.sampler, model.inference(),
                     {config.training.batch_size, image[0], image[1], image[2]}, config.seed);
  int64_t done = 0;
  const auto step = [&] {
    if (done++ % chain.steps() == 0) chain.start(0);
    chain.step();
  };
  const Timing timing = time_calls(step, options);
  for (float value : chain.x().to_host<float>())
    if (!std::isfinite(value)) fail("a sample is not finite");
  return {timing, pool->peak_bytes_in_use(), model.parameters.count()};
}

Json run_figure(const Network& network, const std::string& work, int64_t batch,
                const TimingOptions& options) {
  ConfigSource source = ConfigSource::parse_text(network.config, network.name);
  source.set(fmt::format("training.batch_size={}", batch));
  const Config reader(std::move(source));
  ExperimentConfig config(reader);
  reader.finish();
  const bool training = work == "train";
  const Figure figure = (training ? time_training : time_sampling)(network, config, options);
  const Timing& t = figure.timing;
  const double flops =
      1e9 * static_cast<double>(batch) * (training ? network.training : network.forward);
  return {{"network", network.name},
          {"work", work},
          {"batch", batch},
          {"dtype", "f32"},
          {"parameters", figure.parameters},
          {"median_ms", 1e3 * t.seconds},
          {"best_ms", 1e3 * t.best},
          {"images_per_s", static_cast<double>(batch) / t.seconds},
          {"model_gflops", flops / t.seconds / 1e9},
          {"of_fma_peak", flops / t.seconds / fma_peak()},
          {"peak_pool_bytes", figure.peak_bytes},
          {"healthy_samples", t.healthy},
          {"samples", t.samples},
          {"probe_gflops", {t.probe_min / 1e9, t.probe_max / 1e9}}};
}

void print_figure(const Json& f) {
  fmt::print("{:<8} {:<6} {:>5} {:>12.3f} {:>10.1f} {:>9.1f} {:>8.2f} {:>9.1f} {:>6}/{}\n",
             f["network"].get<std::string>(), f["work"].get<std::string>(), f["batch"].get<int>(),
             f["median_ms"].get<double>(), f["images_per_s"].get<double>(),
             f["model_gflops"].get<double>(), f["of_fma_peak"].get<double>(),
             f["peak_pool_bytes"].get<double>() / 1048576, f["healthy_samples"].get<int>(),
             f["samples"].get<int>());
  std::fflush(stdout);
}

void run(const Options& options) {
  cpu::set_thread_count(options.threads);
  const std::string started = utc_now();
  Json results = Json::array();
  if (!options.json) {
    fmt::print("{} threads; multiply-add peak {:.0f} GFLOP/s\n", cpu::thread_count(),
               fma_peak() / 1e9);
    fmt::print("{:<8} {:<6} {:>5} {:>12} {:>10} {:>9} {:>8} {:>9} {:>8}\n", "network", "work",
               "batch", "median ms", "images/s", "GFLOP/s", "of peak", "pool MiB", "healthy");
  }
  for (const Network& network : kNetworks) {
    if (options.network != "all" && options.network != network.name) continue;
    const std::vector<int64_t> batches =
        options.batch > 0 ? std::vector<int64_t>{options.batch} : network.batches;
    for (int64_t batch : batches)
      for (const char* work : {"train", "sample"}) {
        if (options.work != "both" && options.work != work) continue;
        results.push_back(run_figure(network, work, batch, options.timing));
        if (!options.json) print_figure(results.back());
      }
  }
  if (!options.json) return;
  const Json report = {{"git", git_json()},
                       {"build", build_json()},
                       {"host", host_json()},
                       {"started", started},
                       {"fma_peak_gflops", fma_peak() / 1e9},
                       {"results", results}};
  fmt::print("{}\n", report.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  CLI::App app("Times whole training and sampling steps.");
  ddpm::bench::Options options;
  app.add_option("--network", options.network, "all, digits or cifar10")
      ->check(CLI::IsMember({"all", "digits", "cifar10"}))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "images a step; 0: the usual ones")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  app.add_option("--work", options.work, "train, sample or both")
      ->check(CLI::IsMember({"train", "sample", "both"}))
      ->capture_default_str();
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
  CLI11_PARSE(app, argc, argv);
  try {
    ddpm::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "step_bench: {}\n", error.what());
    return 1;
  }
}
