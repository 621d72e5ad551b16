// Training from a teacher: what may change, what may not, and that it resumes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "experiments/runner/trainer.h"

namespace ddpm {
namespace {

constexpr const char* kTiny = R"({
  "model": {"base_channels": 8, "channel_multipliers": [1], "blocks_per_level": 1,
            "attention_resolutions": [], "dropout": 0.1},
  "diffusion": {"timesteps": 32, "parameterization": "velocity"},
  "optimizer": {"learning_rate": 1e-3, "warmup_steps": 0, "anneal_steps": 6},
  "ema": {"decay": [0.9]},
  "training": {"batch_size": 8, "accumulation": 2}
})";

Dataset random_images() {
  Dataset dataset;
  dataset.name = "noise";
  dataset.image_shape = {4, 4, 1};
  dataset.train.count = 21;
  dataset.train.pixels.resize(21 * 16);
  uint32_t state = 1;
  for (uint8_t& pixel : dataset.train.pixels)
    pixel = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return dataset;
}

ExperimentConfig config_of(const std::vector<std::string>& settings) {
  ConfigSource source = ConfigSource::parse_text(kTiny, "tiny.json");
  for (const std::string& setting : settings) source.set(setting);
  const Config reader(std::move(source));
  ExperimentConfig config(reader);
  reader.finish();
  return config;
}

// A student with its teacher, whose weights are those of another seed.
struct Session {
  explicit Session(const std::string& distillation)
      : teacher_config(config_of({"seed=7"})),
        config(config_of({"distillation=" + distillation})),
        teacher(teacher_config, dataset, Device::kCpu),
        model(config, dataset, Device::kCpu),
        trainer(model, config, dataset, &teacher) {}

  std::vector<float> run(int steps) {
    for (int i = 0; i < steps; ++i) trainer.step();
    return model.parameters.master.to_host<float>();
  }

  Dataset dataset = random_images();
  ExperimentConfig teacher_config, config;
  DiffusionModel teacher, model;
  Trainer trainer;
};

class DistilledTraining : public ::testing::TestWithParam<const char*> {
 protected:
  static std::string settings() {
    const std::string name = GetParam();
    return fmt::format(R"({{"name": "{}", "teacher": "-"{}}})", name,
                       name == "output" ? "" : ", \"steps\": 8");
  }
};

TEST_P(DistilledTraining, ResumesBitForBit) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("ddpm-distilled-{}.h5", getpid()))
          .string();
  Session whole(settings());
  const std::vector<float> expected = whole.run(6);
  {
    Session first(settings());
    first.run(3);
    save_checkpoint(path, first.trainer.checkpoint_info(), first.model.parameters);
  }
  Session second(settings());
  second.trainer.restore(load_checkpoint(path, second.model.parameters));
  EXPECT_EQ(second.run(3), expected);
  EXPECT_EQ(second.trainer.read_mean_loss(), whole.trainer.read_mean_loss());
  std::filesystem::remove(path);
}

TEST_P(DistilledTraining, ChangesTheStudentAndNotTheTeacher) {
  Session session(settings());
  const std::vector<float> teacher = session.teacher.parameters.master.to_host<float>(),
                           student = session.model.parameters.master.to_host<float>();
  EXPECT_NE(session.run(2), student);
  EXPECT_EQ(session.teacher.parameters.master.to_host<float>(), teacher);
}

INSTANTIATE_TEST_SUITE_P(Methods, DistilledTraining,
                         ::testing::Values("progressive", "consistency", "consistency_training",
                                           "output"),
                         [](const auto& test) { return test.param; });

// A teacher of the same weights has nothing to teach: the loss is dropout's alone.
TEST(DistilledTraining, TheTeachersOutputsAreTheirOwn) {
  const auto first_loss = [](bool same, const std::string& dropout) {
    const Dataset dataset = random_images();
    ExperimentConfig teacher_config = config_of({"seed=7"});
    ExperimentConfig config = config_of({same ? "seed=7" : "seed=8", "model.dropout=" + dropout,
                                         R"(distillation={"name": "output", "teacher": "-",
                                                          "clip_denoised": false})"});
    DiffusionModel teacher(teacher_config, dataset, Device::kCpu);
    DiffusionModel model(config, dataset, Device::kCpu);
    Trainer trainer(model, config, dataset, &teacher);
    trainer.step();
    return trainer.read_mean_loss();
  };
  EXPECT_LT(first_loss(true, "0"), 1e-9);  // f32 rounding, squared and over noise >= 0.01 at t = 0
  EXPECT_GT(first_loss(true, "0.5"), 0);
  EXPECT_GT(first_loss(false, "0"), 0);
}

TEST(Annealing, TheRateFallsToZeroAndStaysThere) {
  ExperimentConfig config = config_of({"optimizer.learning_rate=0.5", "optimizer.anneal_steps=4"});
  const Dataset dataset = random_images();
  DiffusionModel model(config, dataset, Device::kCpu);
  Trainer trainer(model, config, dataset);
  for (const double expected : {0.5, 0.375, 0.25, 0.125, 0.0, 0.0}) {
    const std::vector<float> before = model.parameters.master.to_host<float>();
    trainer.step();
    EXPECT_EQ(trainer.read_scalars().learning_rate, expected);
    if (expected == 0) {
      EXPECT_EQ(model.parameters.master.to_host<float>(), before);
    }
  }
}

}  // namespace
}  // namespace ddpm
