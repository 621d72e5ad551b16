// A whole training step: milliseconds, images/s, the rate at which the network's own arithmetic is
// done, and memory.
//
//   step_bench                                          # digits at 128; CIFAR-10 at 1, 16, 128
//   step_bench --network cifar10 --batch 128 --device cuda --dtype bf16 --json
//
// The step is that of `ddpm train` (experiments/runner/trainer.cpp): batch, t and noise drawn,
// q(x_t | x_0), forward with dropout, loss, backward, clipping, Adam, running average. On a GPU it
// is one graph launch, and steps follow one another without a pause. The images are random.
// bench/peers times the same in PyTorch.
#include <fmt/format.h>

#include "bench/network.h"
#include "experiments/runner/trainer.h"

namespace ddpm::bench {
namespace {

void run_figure(const Network& network, int64_t batch, const CommonOptions& options,
                Report& report) {
  const std::shared_ptr<Pool> pool = Pool::create(options.device());
  const PoolScope scope(pool);  // for what outlives the step
  const Dataset dataset = network.random_images();
  ExperimentConfig config = network.experiment(batch, options.dtype);
  DiffusionModel model(config, dataset, options.device());
  Trainer trainer(model, config, dataset);
  if (options.device() == Device::kCuda)
    for (int i = 0; i < 3; ++i) trainer.step();  // two eager ones, and the capture
  const Timing timing = time_calls([&] { trainer.step(); }, options.timing);
  if (trainer.read_scalars().first_nonfinite_step >= 0) fail("a gradient was not finite");

  const double images = static_cast<double>(batch) / timing.seconds;
  const double rate = network.training * images;
  const double of_peak = rate / options.machine().matmul_peak(options.dtype);
  // All that the model, the data and the step hold; cuBLAS and the driver have more of their own.
  const size_t memory = pool->bytes_reserved() + trainer.pool().bytes_reserved();
  Json figure = {{"network", network.name},
                 {"work", "train"},
                 {"batch", batch},
                 {"dtype", name_of(options.dtype)},
                 {"parameters", model.parameters.count()}};
  figure.update(timing_json(timing));
  figure.update(Json{{"images_per_s", images},
                     {"model_tflops", rate / 1e12},
                     {"of_peak", of_peak},
                     {"step_peak_bytes", trainer.pool().peak_bytes_in_use()},
                     {"memory_bytes", memory}});
  report.add(fmt::format("{:<8} {:>5} {:>12.3f} {:>10.1f} {:>9.4g} {:>8.2f} {:>9.1f} {:>6}/{}",
                         network.name, batch, 1e3 * timing.seconds, images, rate / 1e12, of_peak,
                         static_cast<double>(memory) / 1048576, timing.healthy, timing.samples),
             std::move(figure));
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  const ddpm::bench::NetworkProgram program{
      "Times whole training steps.",
      fmt::format("{:<8} {:>5} {:>12} {:>10} {:>9} {:>8} {:>9} {:>8}", "network", "batch",
                  "median ms", "images/s", "TFLOP/s", "of peak", "MiB", "healthy"),
      {1, 16, 128},
      ddpm::bench::run_figure};
  return program.main(argc, argv);
}
