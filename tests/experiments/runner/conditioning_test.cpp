// Networks that are told classes: training, drawing, and what cannot be asked of them.
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/runner/sampling.h"
#include "experiments/runner/trainer.h"

namespace ddpm {
namespace {

constexpr const char* kTiny = R"({
  "model": {"base_channels": 8, "channel_multipliers": [1], "blocks_per_level": 1,
            "attention_resolutions": [], "dropout": 0},
  "diffusion": {"timesteps": 20, "schedule": "cosine", "parameterization": "x0"},
  "conditioning": {"labels": true},
  "optimizer": {"learning_rate": 1e-2, "warmup_steps": 0},
  "ema": {"decay": []},
  "training": {"batch_size": 8},
  "sampling": {"sampler": {"name": "ddim", "steps": 5}}
})";

// Class 0 is dark, class 1 is bright.
Dataset dark_and_bright() {
  Dataset dataset;
  dataset.name = "dark-and-bright";
  dataset.image_shape = {4, 4, 1};
  dataset.levels = 256;
  dataset.class_names = {"dark", "bright"};
  dataset.train.count = 16;
  for (int32_t i = 0; i < 16; ++i) {
    dataset.train.labels.push_back(i % 2);
    dataset.train.pixels.insert(dataset.train.pixels.end(), 16, i % 2 ? 230 : 20);
  }
  return dataset;
}

struct Session {
  explicit Session(const std::vector<std::string>& settings = {}, Dataset data = dark_and_bright())
      : dataset(std::move(data)),
        config(read(settings)),
        model(config, dataset, Device::kCpu),
        trainer(model, config, dataset) {}

  static ExperimentConfig read(const std::vector<std::string>& settings) {
    ConfigSource source = ConfigSource::parse_text(kTiny, "tiny.json");
    for (const std::string& setting : settings) source.set(setting);
    const Config reader(std::move(source));
    ExperimentConfig config(reader);
    reader.finish();
    return config;
  }
  std::vector<float> draw(int64_t count, int64_t batch) {
    return draw_samples(model, *config.sampler, 3, 0, count, batch);
  }
  double brightness(const std::vector<float>& images, int64_t i) const {
    double sum = 0;
    for (int64_t p = 0; p < 16; ++p) sum += static_cast<double>(images[i * 16 + p]) / 16;
    return sum;
  }

  Dataset dataset;
  ExperimentConfig config;
  DiffusionModel model;
  Trainer trainer;
};

void expect_refused(const std::vector<std::string>& settings, const std::string& message,
                    const Dataset& dataset = dark_and_bright()) {
  try {
    Session session(settings, dataset);
    ADD_FAILURE() << "not refused: " << message;
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(Conditioning, DrawsTheClassesInTurn) {
  Session session;
  for (int i = 0; i < 300; ++i) session.trainer.step();
  const std::vector<float> images = session.draw(6, 6);
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(session.brightness(images, i) > 0, i % 2 == 1) << session.brightness(images, i);
  EXPECT_EQ(session.draw(6, 4), images);  // whatever the batch
}

TEST(Conditioning, DrawsTheClassesThatAreChosenAndGuided) {
  Session session({"sampling.classes=[1]", "sampling.guidance=1.5"});
  for (int i = 0; i < 300; ++i) session.trainer.step();
  const std::vector<float> images = session.draw(5, 5);
  for (int64_t i = 0; i < 5; ++i) EXPECT_GT(session.brightness(images, i), 0);
  EXPECT_EQ(session.draw(5, 2), images);
}

TEST(Conditioning, LearnsAnUnconditionalModelOnlyFromWithheldLabels) {
  const auto row_of_none = [](Session& session) {
    for (const Parameters::Slot& slot : session.model.parameters.slots()) {
      if (slot.path != "class_embedding/weight") continue;
      const std::vector<float> table = slot.tensor.to_host<float>();
      return std::vector<float>(table.end() - 32, table.end());
    }
    return std::vector<float>();
  };
  for (const double rate : {0.0, 0.5}) {
    Session session({fmt::format("conditioning.label_dropout={}", rate)});
    const std::vector<float> before = row_of_none(session);
    ASSERT_EQ(before.size(), 32u);
    for (int i = 0; i < 3; ++i) session.trainer.step();
    EXPECT_EQ(row_of_none(session) == before, rate == 0) << rate;
  }
}

TEST(Conditioning, PartsOfABatchWithholdTheSameLabels) {
  Session whole, parts({"training.accumulation=4"});
  whole.trainer.step();
  parts.trainer.step();
  // Rounding apart: a label withheld in one and not in the other would change the loss by more.
  EXPECT_NEAR(whole.trainer.read_mean_loss(), parts.trainer.read_mean_loss(), 1e-5);
}

TEST(Conditioning, AClassifierLearnsTheClassesOfNoisyImages) {
  Session session({"model.name=unet_classifier", "conditioning.labels=false"});
  EXPECT_EQ(session.model.classes, 0) << "it is told none";
  session.trainer.step();
  const double before = session.trainer.read_mean_loss();
  EXPECT_NEAR(before, std::log(2.0), 0.1) << "it begins with no preference";
  for (int i = 0; i < 200; ++i) session.trainer.step();
  session.trainer.reset_loss();
  for (int i = 0; i < 20; ++i) session.trainer.step();
  EXPECT_LT(session.trainer.read_mean_loss(), before / 2);
  expect_refused({"model.name=unet_classifier"}, "is not told the class");
}

TEST(Conditioning, RefusesWhatTheNetworkCannotKnow) {
  Dataset unlabelled = dark_and_bright();
  unlabelled.train.labels.clear();
  expect_refused({}, "have no labels", unlabelled);
  Dataset half_labelled = dark_and_bright();
  half_labelled.test.count = 1;
  half_labelled.test.pixels.resize(16);
  expect_refused({}, "the held-out images of data 'dark-and-bright' have no labels", half_labelled);
  expect_refused({"sampling.classes=[0,2]"}, "the 2 classes 0 (dark) to 1 (bright), found 2");
  expect_refused({"conditioning.label_dropout=0", "sampling.guidance=2"}, "no unconditional model");
  expect_refused({"conditioning.labels=false", "sampling.guidance=2"},
                 "guidance is of networks that know classes");
  expect_refused({"conditioning.labels=false", "sampling.classes=[1]"},
                 "networks that know classes");
}

}  // namespace
}  // namespace ddpm
