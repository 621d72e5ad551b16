#include "bench/network.h"

#include <fmt/format.h>

#include "framework/random/random.h"

namespace ddpm::bench {

std::span<const Network> networks() {
  static const Network all[] = {
      {"digits",
       R"({"model": {"name": "unet", "base_channels": 32, "channel_multipliers": [1, 2],
                     "attention_resolutions": [4]}})",
       {8, 8, 1},
       17,
       0.04591616e9,
       0.137703424e9},
      {"cifar10", "{}", {32, 32, 3}, 256, 12.443713536e9, 37.323931648e9},
  };
  return all;
}

Dataset Network::random_images() const {
  Dataset dataset;
  dataset.image_shape = image;
  dataset.levels = levels;
  dataset.train.count = 512;
  Tensor values = Tensor::empty({dataset.train.count * image.numel()}, DType::kI32, Device::kCpu);
  fill_randint({1, random_site("bench/images"), random_counter(0, 0, Device::kCpu)}, levels,
               values);
  for (int32_t value : values.to_host<int32_t>())
    dataset.train.pixels.push_back(static_cast<uint8_t>(value));
  return dataset;
}

ExperimentConfig Network::experiment(int64_t batch, DType precision) const {
  ConfigSource source = ConfigSource::parse_text(config, name);
  source.set(fmt::format("training.batch_size={}", batch));
  source.set(fmt::format("precision={}", name_of(precision)));
  const Config reader(std::move(source));
  ExperimentConfig experiment(reader);
  reader.finish();
  return experiment;
}

int NetworkProgram::main(int argc, char** argv) const {
  CLI::App app(description);
  // Steps follow one another, so caches are as warm as in training.
  CommonOptions options{
      .timing = {.device = Device::kCpu, .cold = false, .budget_seconds = 60, .samples = 5}};
  std::string only = "all";
  int64_t only_batch = 0;
  add_options(app, options);
  app.add_option("--network", only, "all, digits or cifar10")
      ->check(CLI::IsMember({"all", "digits", "cifar10"}))
      ->capture_default_str();
  app.add_option("--batch", only_batch, "images a step; 0: the usual ones")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] {
    Report report(options, columns);
    for (const Network& network : networks()) {
      if (only != "all" && only != network.name) continue;
      std::vector<int64_t> batches{128};
      if (network.name == std::string("cifar10")) batches = cifar10_batches;
      if (only_batch > 0) batches = {only_batch};
      for (int64_t batch : batches) run_figure(network, batch, options, report);
    }
    report.finish();
  });
}

}  // namespace ddpm::bench
