// Batches computed in parts: the same step, in less memory.
#include "experiments/runner/trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "framework/core/pool.h"

namespace ddpm {
namespace {

// Dropout, flips, clipping and averages are on, and learning is fast enough for a wrong gradient to
// show in the next steps.
constexpr const char* kTiny = R"({
  "model": {"base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1,
            "attention_resolutions": [4], "dropout": 0.3},
  "diffusion": {"timesteps": 50},
  "optimizer": {"learning_rate": 1e-3, "warmup_steps": 0, "grad_clip": 0.5},
  "ema": {"decay": [0.9]},
  "training": {"batch_size": 8}
})";

Dataset random_images() {
  Dataset dataset;
  dataset.name = "noise";
  dataset.image_shape = {8, 8, 3};
  dataset.flip = true;
  dataset.train.count = 21;
  dataset.train.pixels.resize(21 * 8 * 8 * 3);
  uint32_t state = 1;
  for (uint8_t& pixel : dataset.train.pixels)
    pixel = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return dataset;
}

ExperimentConfig config_in_parts(int parts, const std::string& precision,
                                 const std::vector<std::string>& overrides) {
  ConfigSource source = ConfigSource::parse_text(kTiny, "tiny.json");
  source.set(fmt::format("training.accumulation={}", parts));
  source.set("precision=" + precision);
  for (const std::string& assignment : overrides) source.set(assignment);
  const Config reader(std::move(source));
  ExperimentConfig config(reader);
  reader.finish();
  return config;
}

// A model with its trainer.
struct Session {
  explicit Session(int parts, const std::string& precision = "f32",
                   const std::vector<std::string>& overrides = {})
      : config(config_in_parts(parts, precision, overrides)),
        model(config, dataset, Device::kCpu),
        trainer(model, config, dataset) {}

  std::vector<float> run(int steps) {
    for (int i = 0; i < steps; ++i) trainer.step();
    return model.parameters.master.to_host<float>();
  }

  Dataset dataset = random_images();
  ExperimentConfig config;
  DiffusionModel model;
  Trainer trainer;
};

// Timesteps by the size of their loss, after few steps already.
Session learning_session(int parts) {
  return Session(
      parts, "f32",
      {"diffusion.timesteps=5", "diffusion.variance=learned_range", "diffusion.loss=variational",
       R"(diffusion.timestep_sampler={"name": "loss_second_moment", "history": 2})"});
}

double largest(const std::vector<float>& x) {
  double result = 0;
  for (const float v : x) result = std::max(result, std::abs(static_cast<double>(v)));
  return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double result = 0;
  for (size_t i = 0; i < a.size(); ++i)
    result = std::max(result, std::abs(static_cast<double>(a[i]) - b[i]));
  return result;
}

TEST(Accumulation, PartsAddUpToTheBatch) {
  Session whole(1);
  whole.run(1);
  const std::vector<float> gradient = whole.model.parameters.grad.to_host<float>();
  for (const int parts : {2, 4, 8}) {
    Session session(parts);
    session.run(1);
    // The images' own numbers are the same bits, but for convolutions that are chosen by the batch;
    // only the sums over them are rounded in another order. f32 against f64 is held to 2e-5.
    EXPECT_LT(largest_difference(session.model.parameters.grad.to_host<float>(), gradient),
              2e-5 * largest(gradient))
        << parts;
    EXPECT_NEAR(session.trainer.read_mean_loss(), whole.trainer.read_mean_loss(),
                1e-6 * whole.trainer.read_mean_loss())
        << parts;
    EXPECT_NEAR(session.trainer.read_scalars().grad_norm, whole.trainer.read_scalars().grad_norm,
                1e-5 * whole.trainer.read_scalars().grad_norm)
        << parts;
    EXPECT_EQ(session.trainer.checkpoint_info().images_seen, 8);
  }
}

TEST(Accumulation, Bf16PartsAddUpToTheBatch) {
  Session whole(1, "bf16"), parts(4, "bf16");
  whole.run(1);
  parts.run(1);
  const std::vector<float> gradient = whole.model.parameters.grad.to_host<float>();
  // The loss's gradient is scaled in f32 and then rounded to 8 bits of significand, so that the
  // same bits come back times a power of two. Sums are f32.
  EXPECT_LT(largest_difference(parts.model.parameters.grad.to_host<float>(), gradient),
            2e-5 * largest(gradient));
}

TEST(Accumulation, LearnsAlike) {
  Session whole(1), parts(4);
  whole.run(20);
  parts.run(20);
  // Adam divides by the gradient's size, so that rounding moves weights whose gradient is small as
  // far as any; the loss hardly depends on those.
  EXPECT_NEAR(parts.trainer.read_mean_loss(), whole.trainer.read_mean_loss(),
              1e-3 * whole.trainer.read_mean_loss());
}

TEST(Accumulation, ResumesBitForBit) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("ddpm-trainer-{}.h5", getpid()))
          .string();
  Session whole(2);
  const std::vector<float> expected = whole.run(6);
  {
    Session first(2);
    first.run(3);
    save_checkpoint(path, first.trainer.checkpoint_info(), first.model.parameters);
  }
  Session second(2);
  second.trainer.restore(load_checkpoint(path, second.model.parameters));
  EXPECT_EQ(second.run(3), expected);
  EXPECT_EQ(second.model.parameters.averages[0].to_host<float>(),
            whole.model.parameters.averages[0].to_host<float>());
  EXPECT_EQ(second.trainer.read_mean_loss(), whole.trainer.read_mean_loss());
  std::filesystem::remove(path);
}

TEST(Accumulation, TakesTheMemoryOfOnePart) {
  Session whole(1), parts(4);
  whole.run(2);
  parts.run(2);
  const auto peak = [](const Session& s) {
    return static_cast<double>(s.trainer.pool().peak_bytes_in_use());
  };
  // Activations are a quarter; the gradients of a layer that are about to be added come on top.
  EXPECT_LT(peak(parts), 0.4 * peak(whole));
}

TEST(Accumulation, MustDivideTheBatch) {
  try {
    config_in_parts(3, "f32", {});
    FAIL() << "three parts of eight images";
  } catch (const UserError& error) {
    EXPECT_NE(
        std::string(error.what()).find("'training.accumulation' must divide the batch_size 8"),
        std::string::npos)
        << error.what();
  }
}

TEST(LearnedTimesteps, ResumeBitForBit) {
  const std::string file =
      (std::filesystem::temp_directory_path() / fmt::format("ddpm_timesteps_{}.h5", getpid()))
          .string();
  Session whole = learning_session(1), first = learning_session(1), second = learning_session(1);
  const std::vector<float> expected = whole.run(16);
  first.run(8);
  save_checkpoint(file, first.trainer.checkpoint_info(), first.model.parameters);
  CheckpointInfo info = load_checkpoint(file, second.model.parameters);
  std::filesystem::remove(file);
  ASSERT_EQ(info.timestep_counts.size(), 5u);
  ASSERT_GE(*std::min_element(info.timestep_counts.begin(), info.timestep_counts.end()), 2)
      << "still uniform when it was saved";
  second.trainer.restore(info);
  EXPECT_EQ(second.run(8), expected);

  std::fill(info.timestep_losses.begin(), info.timestep_losses.end(), 1.f);
  Session other = learning_session(1);
  save_checkpoint(file, info, first.model.parameters);
  other.trainer.restore(load_checkpoint(file, other.model.parameters));
  std::filesystem::remove(file);
  EXPECT_NE(other.run(8), expected) << "what was learned decides nothing";
}

TEST(LearnedTimesteps, AreTheSameInParts) {
  Session whole = learning_session(1), parts = learning_session(4);
  whole.run(12);
  parts.run(12);
  const CheckpointInfo a = whole.trainer.checkpoint_info(), b = parts.trainer.checkpoint_info();
  EXPECT_EQ(a.timestep_counts, b.timestep_counts);
  for (size_t i = 0; i < a.timestep_losses.size(); ++i)  // weights differ in the last bits
    EXPECT_NEAR(b.timestep_losses[i], a.timestep_losses[i], 1e-3 * a.timestep_losses[i]) << i;
}

}  // namespace
}  // namespace ddpm
