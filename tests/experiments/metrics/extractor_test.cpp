// Feature extractors: training, files and their damage, and the shipped ones.
#include "experiments/metrics/extractor.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "data/idx.h"
#include "experiments/metrics/extractor_training.h"
#include "experiments/metrics/metrics.h"
#include "framework/cpu/parallel.h"
#include "framework/io/file.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using Extractor = testing::TempFolder;

// Two modes of 4x4 images, seen for a few steps.
constexpr char kTiny[] = R"({
  "name": "tiny",
  "data": {"name": "gaussian_mixture", "layout": "images", "modes": 2, "shape": [4, 4, 1],
           "train": 64, "test": 32},
  "model": {"channels": [4, 8]},
  "training": {"steps": 40, "batch_size": 16, "warmup_steps": 0, "learning_rate": 0.01,
               "average_decay": 0.8}
})";

ExtractorInfo train(const std::string& out, const char* json = kTiny,
                    const std::string& assignment = "") {
  ConfigSource source = ConfigSource::parse_text(json, "test");
  if (!assignment.empty()) source.set(assignment);
  return train_extractor(Config(std::move(source)), out);
}

Dataset load(const std::string& json) {
  const Config config(ConfigSource::parse_text("{\"data\": " + json + "}", "test"));
  const auto source = datasets().make(config, "data", std::nullopt);
  config.finish();
  return source->load();
}

FeatureExtractor open(const std::string& path) {
  return FeatureExtractor(Hdf5Reader(path), Device::kCpu);
}

TEST_F(Extractor, ComesBackFromItsFile) {
  const ExtractorInfo info = train(path("tiny.h5"));
  EXPECT_GT(info.test_accuracy, 0.9);  // two modes, ten deviations apart
  const FeatureExtractor extractor = open(path("tiny.h5"));
  EXPECT_EQ(extractor.name(), "tiny");
  EXPECT_EQ(extractor.info().dataset, "gaussian_mixture");
  EXPECT_EQ(extractor.info().config_json, info.config_json);
  EXPECT_EQ(extractor.image_shape(), Shape({4, 4, 1}));
  EXPECT_EQ(extractor.dimension(), 8);
  EXPECT_EQ(extractor.weights_sha256().size(), 64u);
  const Dataset dataset =
      load(R"({"name": "gaussian_mixture", "layout": "images", "modes": 2, "shape": [4, 4, 1],
               "train": 64, "test": 32})");
  extractor.check_dataset(dataset);
  EXPECT_EQ(extractor.accuracy(dataset.test), info.test_accuracy);
  EXPECT_EQ(extractor.features(dataset.test).shape(), Shape({32, 8}));
}

TEST_F(Extractor, TrainingIsDeterministicAndFollowsTheSeed) {
  train(path("a.h5"));
  const int threads = cpu::thread_count();
  cpu::set_thread_count(threads == 1 ? 2 : 1);
  train(path("b.h5"));
  cpu::set_thread_count(threads);
  EXPECT_EQ(read_binary_file(path("a.h5")), read_binary_file(path("b.h5")));
  train(path("c.h5"), kTiny, "seed=1");
  EXPECT_NE(open(path("a.h5")).weights_sha256(), open(path("c.h5")).weights_sha256());
}

TEST_F(Extractor, RefusesWhatItCannotTrainOn) {
  EXPECT_THAT(error_of([&] { train(path("x.h5"), kTiny, "data.test=0"); }),
              HasSubstr("its held-out split has 0 images"));
  EXPECT_THAT(error_of([&] { train(path("x.h5"), kTiny, "name=Digits 1"); }),
              HasSubstr("must be lower-case letters, digits and '_'"));
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(Extractor, RefusesOtherFilesAndDamage) {
  train(path("tiny.h5"));
  { Hdf5Writer(path("other.h5")).commit(); }
  EXPECT_THAT(error_of([&] { open(path("other.h5")); }), HasSubstr("not a feature extractor"));

  const std::vector<std::byte> good = read_binary_file(path("tiny.h5"));
  // Damage is either noticed or lies where nothing is stored: never are there other weights.
  const std::string weights = open(path("tiny.h5")).weights_sha256();
  int refused = 0, files = 0;
  for (size_t i = 0; i < good.size(); i += 97) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{0x10};
    const std::string name = fmt::format("damaged {}", i);
    ++files;
    try {
      EXPECT_EQ(FeatureExtractor(Hdf5Reader(name, bad), Device::kCpu).weights_sha256(), weights);
    } catch (const UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, files / 10);
}

TEST_F(Extractor, RefusesWeightsOfAnotherModel) {
  train(path("tiny.h5"));
  const FeatureExtractor tiny = open(path("tiny.h5"));
  ExtractorInfo info = tiny.info();
  info.classes = 3;
  Parameters parameters;
  parameters.add("dense/weight", {2, 8}, Init::constant(0));
  parameters.allocate(DType::kF32, Device::kCpu, 0);
  save_extractor(path("mixed.h5"), info, parameters, parameters.master);
  EXPECT_THAT(error_of([&] { open(path("mixed.h5")); }), HasSubstr("has no array"));
}

TEST_F(Extractor, RefusesOtherData) {
  const auto digits = shipped_extractor("digits", {8, 8, 1}, Device::kCpu);
  ASSERT_TRUE(digits);
  digits->check_dataset(load(R"("digits")"));
  digits->check_dataset(load(R"({"name": "digits", "limit": 100})"));  // the same images, fewer
  EXPECT_THAT(
      error_of([&] { digits->check_dataset(load(R"({"name": "digits", "holdout": 100})")); }),
      HasSubstr("was trained on other images"));
  EXPECT_THAT(
      error_of([&] {
        digits->check_dataset(load(R"({"name": "digits", "size": 16, "resize": "nearest"})"));
      }),
      HasSubstr("is for images (8, 8, 1) of 17 grey levels"));
}

TEST(ShippedExtractor, OfDigitsReachesItsAccuracy) {
  const auto digits = shipped_extractor("digits", {8, 8, 1}, Device::kCpu);
  ASSERT_TRUE(digits);
  EXPECT_EQ(digits->name(), "digits1");
  EXPECT_GT(digits->info().test_accuracy, 0.97);
  // On another machine rounding may turn a near tie: one image of 297.
  EXPECT_NEAR(digits->accuracy(load(R"("digits")").test), digits->info().test_accuracy, 1.5 / 297);
}

TEST(ShippedExtractor, OfFashionReachesItsAccuracy) {
  struct Case {
    int64_t side;
    const char *name, *resize;
  };
  for (const Case& c : {Case{32, "fashion1", "pad"}, Case{16, "fashion16", "bilinear"}}) {
    const auto fashion = shipped_extractor("fashion-mnist", {c.side, c.side, 1}, Device::kCpu);
    ASSERT_TRUE(fashion) << c.name;
    EXPECT_EQ(fashion->name(), c.name);
    EXPECT_GT(fashion->info().test_accuracy, 0.88) << c.name;
    if (!std::filesystem::exists(kFashionMnistFolder)) GTEST_SKIP() << "no fashion-mnist here";
    const Dataset dataset = load(fmt::format(
        R"({{"name": "fashion-mnist", "size": {}, "resize": "{}"}})", c.side, c.resize));
    fashion->check_dataset(dataset);
    EXPECT_NEAR(fashion->accuracy(dataset.test), fashion->info().test_accuracy, 5.5 / 10000);
  }
}

TEST(ShippedExtractor, IsMissingForOtherData) {
  EXPECT_FALSE(shipped_extractor("cifar10", {32, 32, 3}, Device::kCpu));
  EXPECT_FALSE(shipped_extractor("digits", {16, 16, 1}, Device::kCpu));
  EXPECT_THAT(
      missing_extractor_message("digits", {16, 16, 1}),
      HasSubstr("with images (16, 16, 1), only for digits (8, 8, 1), fashion-mnist (32, 32, 1), "
                "fashion-mnist (16, 16, 1). Train one with `ddpm extractor"));
}

TEST(ShippedExtractor, ShippedFilesAreThoseOfTheirConfigurations) {
  for (const auto& [file, dataset, shape] :
       {std::tuple{"digits.json", "digits", Shape{8, 8, 1}},
        std::tuple{"fashion.json", "fashion-mnist", Shape{32, 32, 1}},
        std::tuple{"fashion16.json", "fashion-mnist", Shape{16, 16, 1}}}) {
    const std::string path = std::string(DDPM_SOURCE_DIR "/experiments/extractors/") + file;
    const Config config(ConfigSource::parse_file(path));
    const ExtractorConfig options(config);
    config.finish();
    const auto extractor = shipped_extractor(dataset, shape, Device::kCpu);
    ASSERT_TRUE(extractor);
    EXPECT_EQ(extractor->info().config_json, config.resolved().dump()) << file;
  }
}

TEST(FeatureComparison, MeasuresHeldOutDigitsAgainstTrainingOnes) {
  const Dataset dataset = load(R"("digits")");
  auto digits = shipped_extractor("digits", {8, 8, 1}, Device::kCpu);
  ASSERT_TRUE(digits);
  const std::string sha = digits->weights_sha256();
  const ExtractorSpace space(std::move(digits), dataset);
  const FeatureSummary reference = summarise(space, dataset.train, dataset.image_shape);
  const auto frechet = std::make_shared<const FrechetReference>(reference.statistics);
  const auto compare = [&](const Split& samples) {
    return FeatureComparison(space, summarise(space, samples, dataset.image_shape, frechet),
                             reference, *frechet);
  };

  const FeatureComparison itself = compare(dataset.train);
  EXPECT_LT(itself.frechet_distance, 1e-6);
  EXPECT_EQ(itself.coverage->precision, 1);
  EXPECT_EQ(itself.coverage->recall, 1);
  EXPECT_EQ(itself.reference_count, 1500);
  EXPECT_EQ(itself.sample_count, 1500);
  EXPECT_EQ(itself.weights_sha256, sha);

  const FeatureComparison held_out = compare(dataset.test);
  Split grey = dataset.test;
  std::fill(grey.pixels.begin(), grey.pixels.end(), uint8_t{8});
  const FeatureComparison constant = compare(grey);
  EXPECT_GT(held_out.frechet_distance, itself.frechet_distance);
  EXPECT_GT(constant.frechet_distance, 10 * held_out.frechet_distance);
  EXPECT_GT(constant.kernel->mean, 10 * held_out.kernel->mean);
  EXPECT_EQ(constant.kernel->subset_size, 297);
  EXPECT_GT(held_out.coverage->precision, 0.5);
  EXPECT_EQ(constant.coverage->recall, 0);

  // Names, and what there is none of.
  for (const auto& [name, value] : metric_values(held_out))
    EXPECT_TRUE(name.ends_with("_digits1") && find_metric(name)) << name;
  EXPECT_FALSE(held_out.score || held_out.spatial_frechet);
}

TEST(FeatureComparison, SaysWhatTooFewSamplesDoNotAllow) {
  const Dataset dataset = load(R"("digits")");
  const ExtractorSpace space(shipped_extractor("digits", {8, 8, 1}, Device::kCpu), dataset);
  const FeatureSummary reference = summarise(space, dataset.train, dataset.image_shape);
  const auto frechet = std::make_shared<const FrechetReference>(reference.statistics);
  const Split three = slice(dataset.test, dataset.image_shape, 0, 3);
  const FeatureComparison few(space, summarise(space, three, dataset.image_shape, frechet),
                              reference, *frechet);
  EXPECT_FALSE(few.coverage || few.frechet_limit);
  ASSERT_EQ(few.missing.size(), 3U);
  EXPECT_EQ(few.missing[0].first, "fd_inf");
  EXPECT_EQ(few.missing[2].first, "recall");
  EXPECT_THAT(few.missing[2].second, HasSubstr("3 samples and 1500 reference images, at least 4"));
}

}  // namespace
}  // namespace ddpm
