// What weights of Inception may be wrong about, and statistics of its features as files.
#include "experiments/metrics/inception_space.h"

#include <gmock/gmock.h>

#include <span>

#include "experiments/metrics/feature_summary.h"
#include "framework/io/npy.h"
#include "framework/io/safetensors.h"
#include "layers/inception_weights.h"
#include "tests/experiments/metrics/inception_golden.h"
#include "tests/experiments/metrics/normal_features.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using InceptionWeights = testing::TempFolder;

Tensor f32(const Shape& shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

// The golden weights with one tensor left out or given another value, folded.
std::string error_with(const std::string& name, const Tensor& replaced,
                       const std::string& added = "") {
  static const NamedTensors golden = testing::golden_inception_weights();
  NamedTensors weights("w.pth");
  for (const NamedTensor& t : golden.all()) {
    if (t.name != name)
      weights.add(t.name, t.values);
    else if (replaced)
      weights.add(name, replaced);
  }
  if (!added.empty()) weights.add(added, f32({3}));
  Parameters parameters;
  const Inception network{Scope(parameters)};
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  return error_of([&] { fold_inception_weights(weights, parameters); });
}

TEST_F(InceptionWeights, AreRefusedByTheTensorThatIsWrong) {
  EXPECT_THAT(error_with("Mixed_5b.branch1x1.bn.weight", {}),
              HasSubstr("'w.pth' has no tensor 'Mixed_5b.branch1x1.bn.weight'"));
  // torchvision's classifier of 1000 classes
  EXPECT_THAT(error_with("fc.weight", f32({1000, 2048})),
              AllOf(HasSubstr("'fc.weight' is f32 (1000, 2048)"), HasSubstr("(1008, 2048)")));
  EXPECT_THAT(error_with("", {}, "AuxLogits.fc.weight"),
              HasSubstr("'AuxLogits.fc.weight' (3) is not of the Inception-v3 of the FID"));
  for (const char* unused : {"fc.bias", "Mixed_5b.branch1x1.bn.num_batches_tracked"})
    EXPECT_EQ(error_with("", {}, unused), "no error");
}

Dataset images(const Shape& shape, int levels = 256) {
  Dataset dataset;
  dataset.name = "some";
  dataset.image_shape = shape;
  dataset.levels = levels;
  return dataset;
}

TEST_F(InceptionWeights, ServeImagesOfOneOrThreeChannels) {
  const std::string file = path("golden.safetensors");
  write_safetensors(file, testing::golden_inception_weights().all());
  const auto open = [&](const Dataset& dataset) {
    return InceptionSpace(file, InceptionResize::kTf, dataset, Device::kCpu);
  };
  EXPECT_THAT(error_of([&] {
                open(images({8, 8, 4}));
              }),
              HasSubstr("images of 1 or 3 channels in grey levels; data 'some' are (8, 8, 4)"));
  EXPECT_THAT(error_of([&] { open(images({8, 8, 1}, 0)); }), HasSubstr("continuous values"));
  // Grey is three equal channels, and 17 levels are stretched to 256. The images of a batch do not
  // meddle with each other.
  Split grey, colour;
  grey.count = 2;
  colour.count = 1;
  for (int i = 0; i < 128; ++i) grey.pixels.push_back(static_cast<uint8_t>(i * 7 % 17));
  for (int i = 64; i < 128; ++i)
    for (int c = 0; c < 3; ++c)
      colour.pixels.push_back(
          static_cast<uint8_t>((grey.pixels[static_cast<size_t>(i)] * 255 + 8) / 16));
  const InceptionSpace space = open(images({8, 8, 1}, 17));
  const ImageFeatures both = space.features(grey);
  const ImageFeatures second = open(images({8, 8, 3})).features(colour);
  EXPECT_EQ(both.features.slice(1, 2).to_host<float>(), second.features.to_host<float>());
  EXPECT_EQ(both.logits.shape(), (Shape{2, 1008}));
  EXPECT_EQ(both.spatial.shape(), (Shape{2, 2023}));
}

// A space of three features whose weights are a name.
class NamedSpace : public FeatureSpace {
 public:
  explicit NamedSpace(std::string weights, int64_t dimension = 3)
      : weights_(std::move(weights)), dimension_(dimension) {}
  bool is_inception() const override { return true; }
  std::string name() const override { return "tf"; }
  std::string weights_sha256() const override { return weights_; }
  int64_t dimension() const override { return dimension_; }
  ImageFeatures features(const Split& images) const override {
    return {testing::normal_features(images.count, dimension_, 1), {}, {}};
  }

 private:
  std::string weights_;
  int64_t dimension_;
};

TEST_F(InceptionWeights, StatisticsComeBackFromTheirFile) {
  const NamedSpace space("abc");
  Split split;
  split.count = 50;
  const FeatureSummary summary = summarise(space, split, {1, 1, 1});
  const std::string file = path("reference.npz");
  write_statistics(file, summary, space);
  const FeatureSummary read = read_statistics(file, space);
  EXPECT_EQ(read.statistics.count, 50);
  EXPECT_EQ(read.statistics.mean, summary.statistics.mean);
  EXPECT_EQ(read.statistics.covariance, summary.statistics.covariance);
  EXPECT_EQ(read.rows.to_host<float>(), summary.rows.to_host<float>());
  EXPECT_THAT(error_of([&] { read_statistics(file, NamedSpace("abd")); }),
              HasSubstr("'inception tf abc', not of 'inception tf abd'"));
}

TEST_F(InceptionWeights, StatisticsOfOtherProgramsHoldMuAndSigma) {
  const std::vector<float> mu = {1, 2, 3}, sigma = {1, 0, 0, 0, 2, 0, 0, 0, 3};
  const auto bytes = [](const std::vector<float>& v) { return std::as_bytes(std::span(v)); };
  const std::string file = path("other.npz");
  write_npz(file,
            {{"mu", {3}, DType::kF32, bytes(mu)}, {"sigma", {3, 3}, DType::kF32, bytes(sigma)}});
  const FeatureSummary read = read_statistics(file, NamedSpace("any"));
  EXPECT_EQ(read.statistics.count, 0);  // it does not say
  EXPECT_FALSE(read.rows);
  EXPECT_EQ(read.statistics.mean, (std::vector<double>{1, 2, 3}));
  EXPECT_THAT(error_of([&] { read_statistics(file, NamedSpace("any", 4)); }),
              HasSubstr("'mu' is f32 (3), expected f64 or f32 (4): statistics of another feature"));
  write_npz(file, {{"mu", {3}, DType::kF32, bytes(mu)}});
  EXPECT_THAT(error_of([&] { read_statistics(file, NamedSpace("any")); }),
              HasSubstr("has no tensor 'sigma'"));
}

TEST_F(InceptionWeights, APassGoesOnFromItsFile) {
  // 40 images of 3 features: ten distances on the way to the limit.
  const NamedSpace space("abc");
  const Tensor rows = testing::normal_features(40, 3, 2);
  const auto frechet = std::make_shared<const FrechetReference>(
      FeatureStatistics(testing::normal_features(100, 3, 3)));
  FeaturePass whole(space, 40, frechet), first(space, 40, frechet), second(space, 40, frechet);
  whole.add({rows, {}, {}});
  first.add({rows.slice(0, 17), {}, {}});
  Hdf5Writer writer(path("pass.h5"));
  first.save(writer, "/pass");
  writer.commit();
  second.restore(Hdf5Reader(path("pass.h5")), "/pass");
  EXPECT_EQ(second.seen(), 17);
  second.add({rows.slice(17, 40), {}, {}});
  const FeatureSummary a = whole.summary(), b = second.summary();
  EXPECT_EQ(a.statistics.covariance, b.statistics.covariance);
  EXPECT_EQ(a.rows.to_host<float>(), b.rows.to_host<float>());
  ASSERT_EQ(a.points.size(), 10U);
  ASSERT_EQ(b.points.size(), 10U);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(a.points[i].distance, b.points[i].distance);
  // The last point is the distance of all.
  EXPECT_NEAR(a.points[9].distance, frechet->distance(a.statistics), 1e-12);
}

TEST(FeaturePass, KeepsNoMoreRowsThanFit) {
  EXPECT_EQ(kept_rows(1000, 2048), 1000);
  EXPECT_EQ(kept_rows(50000, 2048), 32768);
}

}  // namespace
}  // namespace ddpm
