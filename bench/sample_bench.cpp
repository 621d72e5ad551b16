// A whole sampling step, one ancestral step of the reverse process with its noise: milliseconds,
// images/s, and the time that 256 images of 1000 steps would take in batches of this size.
//
//   sample_bench                                        # digits at 128; CIFAR-10 at 1, 16, 128,
//   256 sample_bench --network cifar10 --batch 256 --device cuda --dtype bf16 --json
//
// On a GPU the step is captured, and one step is one graph launch.
#include <fmt/format.h>

#include <cmath>

#include "bench/network.h"
#include "experiments/runner/trainer.h"

namespace ddpm::bench {
namespace {

constexpr int64_t kImages = 256, kSteps = 1000;

void run_figure(const Network& network, int64_t batch, const CommonOptions& options,
                Report& report) {
  const std::shared_ptr<Pool> pool = Pool::create(options.device());
  const PoolScope scope(pool);  // for what outlives the step
  const Dataset dataset = network.random_images();
  ExperimentConfig config = network.experiment(batch, options.dtype);
  DiffusionModel model(config, dataset, options.device());
  const Shape& image = network.image;
  ReverseChain chain(model.process, *config.sampler, model.inference(),
                     {batch, image[0], image[1], image[2]}, config.seed);
  int64_t done = 0;
  const auto step = [&] {
    if (done++ % chain.steps() == 0) chain.start(0);
    chain.step();
  };
  if (options.device() == Device::kCuda)
    for (int i = 0; i < 3; ++i) step();  // two eager ones, and the capture
  const Timing timing = time_calls(step, options.timing);
  for (float value : chain.x().to_host<float>())
    if (!std::isfinite(value)) fail("a sample is not finite");

  const double images = static_cast<double>(batch) / timing.seconds;
  const double rate = network.forward * images;
  const double of_peak = rate / options.machine().matmul_peak(options.dtype);
  const double projected =
      static_cast<double>((kImages + batch - 1) / batch * kSteps) * timing.seconds;
  const size_t memory = pool->bytes_reserved() + chain.pool().bytes_reserved();
  Json figure = {{"network", network.name},
                 {"work", "sample"},
                 {"batch", batch},
                 {"dtype", name_of(options.dtype)},
                 {"parameters", model.parameters.count()}};
  figure.update(timing_json(timing));
  figure.update(Json{{"images_per_s", images},
                     {"seconds_for_256x1000", projected},
                     {"model_tflops", rate / 1e12},
                     {"of_peak", of_peak},
                     {"step_peak_bytes", chain.pool().peak_bytes_in_use()},
                     {"memory_bytes", memory}});
  report.add(
      fmt::format("{:<8} {:>5} {:>12.3f} {:>10.1f} {:>12.1f} {:>9.4g} {:>8.2f} {:>9.1f} {:>6}/{}",
                  network.name, batch, 1e3 * timing.seconds, images, projected, rate / 1e12,
                  of_peak, static_cast<double>(memory) / 1048576, timing.healthy, timing.samples),
      std::move(figure));
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  const ddpm::bench::NetworkProgram program{
      "Times whole sampling steps.",
      fmt::format("{:<8} {:>5} {:>12} {:>10} {:>12} {:>9} {:>8} {:>9} {:>8}", "network", "batch",
                  "median ms", "images/s", "256x1000 s", "TFLOP/s", "of peak", "MiB", "healthy"),
      {1, 16, 128, 256},
      ddpm::bench::run_figure};
  return program.main(argc, argv);
}
