// The classifier: shapes, the names of its parameters, what it refuses, and that it learns.
#include "layers/classifier.h"

#include <gmock/gmock.h>

#include "framework/autograd/tape.h"
#include "framework/ops/losses.h"
#include "framework/ops/reduce.h"
#include "framework/random/random.h"
#include "framework/train/adam.h"

namespace ddpm {
namespace {

ClassifierOptions options(const char* json) {
  const Config config(ConfigSource::parse_text(json, "test"));
  ClassifierOptions read(config);
  config.finish();
  return read;
}

Tensor noise_images(Shape shape) {
  Tensor x = Tensor::empty(shape, DType::kF32, Device::kCpu);
  fill_normal({1, 2, random_counter(0, 0, Device::kCpu)}, x);
  return x;
}

TEST(Classifier, HasFeaturesOfTheLastStageAndNamedParameters) {
  Parameters parameters;
  const Classifier classifier(Scope(parameters), options(R"({"channels": [8, 16, 12]})"),
                              {8, 12, 3}, 5);
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  const Tensor x = noise_images({2, 8, 12, 3});
  EXPECT_EQ(classifier.features(x).shape(), Shape({2, 12}));
  EXPECT_EQ(classifier.logits(x).shape(), Shape({2, 5}));
  // 3x3 convolutions 3 -> 8 -> 16 -> 12 with biases, two norm vectors each, dense 12 -> 5
  EXPECT_EQ(parameters.count(), (216 + 24) + (1152 + 48) + (1728 + 36) + 65);
  EXPECT_EQ(parameters.slots()[4].path, "stage_1/conv/weight");
  EXPECT_EQ(parameters.slots().back().path, "dense/bias");
}

TEST(Classifier, AFirstStrideOfTwoSeesAQuarterOfThePositions) {
  // With one stage the features are means over positions of what its convolution sees: an image of
  // 2x2 pixels has one position at stride 2, and zero padding on the right and below.
  Parameters parameters;
  const Classifier classifier(Scope(parameters), options(R"({"channels": [4], "first_stride": 2})"),
                              {2, 2, 1}, 2);
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  EXPECT_EQ(classifier.stages[0].conv(noise_images({3, 2, 2, 1})).shape(), Shape({3, 1, 1, 4}));
}

TEST(Classifier, RefusesImagesThatCannotBeHalvedAndOtherShapes) {
  Parameters parameters;
  EXPECT_THROW(Classifier(Scope(parameters), options("{}"), {10, 8, 1}, 10), UserError);
  Parameters fitting;
  const Classifier classifier(Scope(fitting), options("{}"), {8, 8, 1}, 10);
  fitting.allocate(DType::kF32, Device::kCpu, 0);
  EXPECT_THROW(classifier.features(noise_images({1, 8, 8, 3})), UserError);
  EXPECT_THROW(options(R"({"channels": []})"), UserError);
}

TEST(Classifier, LearnsABatchByHeart) {
  Parameters parameters;
  const Classifier classifier(Scope(parameters), options(R"({"channels": [8, 8]})"), {4, 4, 1}, 4);
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  parameters.allocate_training(0);
  const Tensor x = noise_images({8, 4, 4, 1});
  const Tensor labels =
      Tensor::from_host(std::vector<int32_t>{0, 1, 2, 3, 3, 2, 1, 0}, {8}, Device::kCpu);
  StepState state(Device::kCpu);
  const OptimizerOptions optimizer{.learning_rate = 0.01, .warmup_steps = 0, .averages = 0};
  float loss = 0;
  for (int step = 0; step < 200; ++step) {
    parameters.begin_gradients();
    Tape tape;
    const Tensor mean_loss = mean(cross_entropy(classifier.logits(x), labels));
    loss = mean_loss.to_host<float>()[0];
    tape.backward(mean_loss);
    parameters.end_gradients();
    optimizer_step(parameters, optimizer, state);
  }
  EXPECT_LT(loss, 0.05);  // from ln 4 = 1.39
}

}  // namespace
}  // namespace ddpm
