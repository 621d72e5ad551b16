// Features of random images from random weights, against PyTorch's ports.
// tests/golden/make_inception_golden.py made inception.h5 and states the formulas by which weights
// and images are drawn again here.
#include "tests/experiments/metrics/inception_golden.h"

#include <gtest/gtest.h>

#include "experiments/metrics/comparison.h"
#include "experiments/metrics/inception_space.h"
#include "framework/core/memory.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/safetensors.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

Tensor pixels_of(const std::vector<uint8_t>& pixels, int64_t side) {
  return Tensor::from_host(std::vector<float>(pixels.begin(), pixels.end()),
                           {static_cast<int64_t>(pixels.size()) / (side * side * 3), side, side, 3},
                           Device::kCpu);
}

class InceptionGolden : public testing::TempFolder {
 protected:
  static void SetUpTestSuite() {
    parameters_ = new Parameters;
    network_ = new Inception(Scope(*parameters_));
    parameters_->allocate(DType::kF32, Device::kCpu, 0);
    fold_inception_weights(testing::golden_inception_weights(), *parameters_);
  }
  static void TearDownTestSuite() {
    delete network_;
    delete parameters_;
  }

  // Largest difference to PyTorch's, of the root mean square.
  static double distance_to(const std::string& path, const Tensor& actual) {
    const Hdf5Reader file(DDPM_TEST_DATA "/inception.h5");
    const Shape shape = file.info(path).shape;
    EXPECT_EQ(actual.shape(), shape) << path;
    const std::vector<float> expected = file.read<float>(path, shape);
    const std::vector<float> ours = actual.to_host<float>();
    double squares = 0, worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      squares += static_cast<double>(expected[i]) * expected[i];
      worst = std::max<double>(worst, std::abs(expected[i] - ours[i]));
    }
    return worst / std::sqrt(squares / static_cast<double>(expected.size()));
  }
  static void expect_features_of_torch_fidelity(const Inception& network, Device device,
                                                double tolerance) {
    std::vector<uint8_t> images = testing::golden_images("real", 12, 32);
    const std::vector<uint8_t> fake = testing::golden_images("fake", 12, 32);
    images.insert(images.end(), fake.begin(), fake.end());
    const Tensor resized = inception_input(pixels_of(images, 32), InceptionResize::kTf);
    Tensor x = Tensor::empty(resized.shape(), DType::kF32, device);
    x.copy_from_host(resized.raw());
    const InceptionFeatures f = network(x);
    EXPECT_LT(distance_to("/features/tf/pool", f.pool), tolerance);
    EXPECT_LT(distance_to("/features/tf/logits", f.logits), tolerance);
    EXPECT_LT(distance_to("/features/tf/spatial", f.spatial.slice(0, 2)), tolerance);
  }

  static Parameters* parameters_;
  static Inception* network_;
};
Parameters* InceptionGolden::parameters_ = nullptr;
Inception* InceptionGolden::network_ = nullptr;

// Both sides are f32. Direct convolutions differ by 6e-6, in the order of their sums; Winograd's,
// of up to 40 layers, by 9e-5.
TEST_F(InceptionGolden, FeaturesAreThoseOfTorchFidelity) {
  expect_features_of_torch_fidelity(*network_, Device::kCpu, 1e-4);
  cpu::force_conv2d_algorithm("tap_gemm");
  expect_features_of_torch_fidelity(*network_, Device::kCpu, 2e-5);
  cpu::force_conv2d_algorithm("");
}

TEST_F(InceptionGolden, FeaturesOnTheGpuAreThoseOfTorchFidelity) {
  if (!memory::is_available(Device::kCuda)) GTEST_SKIP() << "no CUDA device";
  Parameters parameters;
  const Inception network{Scope(parameters)};
  parameters.allocate(DType::kF32, Device::kCuda, 0);
  fold_inception_weights(testing::golden_inception_weights(), parameters);
  expect_features_of_torch_fidelity(network, Device::kCuda, 2e-5);  // without TF32
}

TEST_F(InceptionGolden, EveryResizingIsThatOfItsProgram) {
  const auto expect_pool = [&](const std::string& path, const Tensor& pixels,
                               const std::string& resize) {
    const Tensor x = inception_input(pixels, parse_inception_resize(resize));
    EXPECT_LT(distance_to(path, (*network_)(x).pool), 1e-4) << path;
  };
  std::vector<uint8_t> images = testing::golden_images("real", 12, 32);
  images.resize(static_cast<size_t>(3 * 32 * 32 * 3));
  for (const std::string name : {"pytorch", "clean"})
    expect_pool("/features/" + name + "/pool", pixels_of(images, 32), name);
  // Shrinking is another matter: Pillow's filter widens, TensorFlow's skips pixels.
  const Tensor large = pixels_of(testing::golden_images("large", 1, 400), 400);
  for (const std::string name : {"clean", "tf"})
    expect_pool("/features/" + name + "_400/pool", large, name);
}

// The golden numbers are torch-fidelity's, in double precision.
class MetricGolden : public ::testing::Test {
 protected:
  double golden(const char* group, const char* name) const { return file_.number(group, name); }
  Tensor features(const char* path) const {
    const Shape shape = file_.info(path).shape;
    return Tensor::from_host(file_.read<float>(path, shape), shape, Device::kCpu);
  }
  void expect_metrics(const char* group, const Tensor& fake, const Tensor& real,
                      const Tensor& logits, double tolerance) const {
    const auto expect_near = [&](const char* name, double actual) {
      EXPECT_NEAR(actual, golden(group, name), tolerance * std::abs(golden(group, name))) << name;
    };
    expect_near("fid", frechet_distance(FeatureStatistics(fake), FeatureStatistics(real)));
    expect_near("kid", kernel_distance(fake, real, {.subsets = 1}).mean);
    const PrecisionRecall coverage = precision_recall(fake, real);
    expect_near("precision", coverage.precision);
    expect_near("recall", coverage.recall);
    InceptionScore score(logits.shape()[0], logits.shape()[1], 3);
    score.add(logits);
    expect_near("is", score.result().mean);
    expect_near("is_std", score.result().std);
  }

  Hdf5Reader file_{DDPM_TEST_DATA "/inception.h5"};
};

TEST_F(MetricGolden, OfFeaturesOfFullRank) {
  const auto drawn = [](const char* site, double scale, double shift) {
    std::vector<float> values;
    for (const double s : testing::drawn(site, -1, 1, 300 * 48))
      values.push_back(static_cast<float>(scale * s + shift));
    return Tensor::from_host(values, {300, 48}, Device::kCpu);
  };
  const Tensor real = drawn("statistics/real", 1, 0), fake = drawn("statistics/fake", 1.1, 0.05);
  Tensor logits = Tensor::like(fake);
  for (int64_t i = 0; i < fake.numel(); ++i) logits.data<float>()[i] = 3 * fake.data<float>()[i];
  // The features are drawn again, and a few are another last bit of single precision.
  expect_metrics("/statistics", fake, real, logits, 1e-6);
}

TEST_F(MetricGolden, OfInceptionsFeatures) {
  // 12 images a set: covariances of rank 11, whose null space costs roots of rounding errors. The
  // fractions are means in single precision there.
  const Tensor pool = features("/features/tf/pool");
  expect_metrics("/metrics", pool.slice(12, 24), pool.slice(0, 12),
                 features("/features/tf/logits").slice(12, 24), 1e-6);
}

// From pixels to every number, against the same programs: 1e-4, as the features.
TEST_F(InceptionGolden, MetricsOfImagesAreThoseOfTorchFidelity) {
  Dataset dataset;
  dataset.name = "golden";
  dataset.image_shape = {32, 32, 3};
  write_safetensors(path("golden.safetensors"), testing::golden_inception_weights().all());
  const InceptionSpace space(path("golden.safetensors"), InceptionResize::kTf, dataset,
                             Device::kCpu);
  const auto images = [](const char* set) {
    Split split;
    split.count = 12;
    split.pixels = testing::golden_images(set, 12, 32);
    return split;
  };
  const FeatureSummary real = summarise(space, images("real"), dataset.image_shape);
  const auto frechet = std::make_shared<const FrechetReference>(real.statistics);
  const FeatureComparison c(space, summarise(space, images("fake"), dataset.image_shape, frechet),
                            real, *frechet);
  const Hdf5Reader file(DDPM_TEST_DATA "/inception.h5");
  const auto expect_near = [&](const char* name, double actual) {
    const double expected = file.number("/metrics", name);
    EXPECT_NEAR(actual, expected, 1e-4 * std::abs(expected)) << name;
  };
  expect_near("fid", c.frechet_distance);
  expect_near("sfid", *c.spatial_frechet);
  expect_near("kid", c.kernel->mean);
  expect_near("precision", c.coverage->precision);
  expect_near("recall", c.coverage->recall);

  // Random weights tell classes apart badly: the score is little more than 1, and what it is more
  // has the features' error squared.
  InceptionScore score(12, space.logit_count(), 3);
  score.add(space.features(images("fake")).logits);
  const double excess = file.number("/metrics", "is") - 1,
               deviation = file.number("/metrics", "is_std");
  EXPECT_NEAR(score.result().mean - 1, excess, 1e-3 * excess);
  EXPECT_NEAR(score.result().std, deviation, 1e-3 * deviation);
}

}  // namespace
}  // namespace ddpm
