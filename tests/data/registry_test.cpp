// Data sets as a configuration names them.
#include "data/registry.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "framework/io/png.h"
#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TemporaryFolder;

Dataset load(const std::string& data) {
  const Config config(ConfigSource::parse_text("{\"data\": " + data + "}", "test.json"));
  const std::unique_ptr<DataSource> source = datasets().make(config, "data", "digits");
  config.finish();
  return source->load();
}

std::string error(const std::string& data) {
  return refusal([&] { load(data); });
}

TEST(Datasets, DigitsHoldOutAFixedSplit) {
  const Dataset dataset = load(R"("digits")");
  EXPECT_EQ(dataset.train.count, 1500);
  EXPECT_EQ(dataset.test.count, 297);
  // The split is part of every published number on these data: it must never change.
  EXPECT_EQ(dataset.train.data_sha256,
            "071693b791e48b806a7905ac9c442a9df074278335f40f3317a7586a20f97a8a");
  EXPECT_EQ(dataset.test.data_sha256,
            "24e5171185773890a77339d6a1885790fb3177befb04ab7dac0d182c156b6ed8");
  EXPECT_EQ(dataset.test.labels_sha256,
            "ef0227cc31ba77d3303bb88962e6c102e70d44d82026453af6b0ef15dd5a9ff8");
  // Enough of every class to measure with.
  std::vector<int> counts(10);
  for (int32_t label : dataset.test.labels) ++counts[label];
  for (int count : counts) EXPECT_GT(count, 15);
}

TEST(Datasets, TransformsFollowTheConfig) {
  const Dataset dataset = load(R"({"name": "digits", "size": [16, 12], "resize": "pad",
                                   "channels": 3, "limit": 100, "holdout": 7})");
  EXPECT_EQ(dataset.image_shape, Shape({16, 12, 3}));
  EXPECT_EQ(dataset.train.count, 100);
  EXPECT_EQ(dataset.test.count, 7);
  EXPECT_EQ(dataset.train.pixels.size(), 100u * 16 * 12 * 3);
  EXPECT_EQ(load(R"({"name": "digits", "size": 16, "resize": "bilinear"})").image_shape,
            Shape({16, 16, 1}));
  EXPECT_EQ(load(R"({"name": "digits", "holdout": 0})").train.count, 1797);
}

TEST(Datasets, DigestsAreOfTheDataAsRead) {
  const std::string plain = load(R"("digits")").train.data_sha256;
  EXPECT_EQ(
      load(R"({"name": "digits", "size": 16, "resize": "nearest", "limit": 5})").train.data_sha256,
      plain);
}

TEST(Datasets, SettingsAreStrict) {
  EXPECT_THAT(error(R"("fashion_mnist")"), HasSubstr("Did you mean 'fashion-mnist'?"));
  EXPECT_THAT(error(R"({"name": "digits", "sise": 16})"), HasSubstr("sise"));
  EXPECT_THAT(error(R"({"name": "digits", "size": [16]})"),
              AllOf(HasSubstr("size"), HasSubstr("[16]")));
  EXPECT_THAT(error(R"({"name": "digits", "size": 0})"), HasSubstr("found 0"));
  EXPECT_THAT(error(R"({"name": "digits", "size": 16})"), HasSubstr("resize"));
  EXPECT_THAT(error(R"({"name": "digits", "flip": true})"), HasSubstr("flip"));
  EXPECT_THAT(error(R"("cifar10")"), HasSubstr("path"));
}

TEST(Datasets, NoFileIsTouchedBeforeTheConfigIsRight) {
  EXPECT_THAT(error(R"({"name": "cifar10", "path": "nowhere", "limit": -1})"),
              AllOf(HasSubstr("limit"), Not(HasSubstr("nowhere'"))));
}

TEST(Datasets, FilesAreFoundByTheirSettings) {
  const TemporaryFolder folder;
  std::vector<uint8_t> records(3 * 3073, 4);
  const std::string path = folder.write("records.bin", records);
  const Dataset cifar =
      load(fmt::format(R"({{"name": "cifar10", "path": "{}", "holdout": 1, "flip": true}})", path));
  EXPECT_EQ(cifar.train.count, 2);
  EXPECT_EQ(cifar.test.count, 1);
  EXPECT_TRUE(cifar.flip);

  const std::string idx =
      folder.write("idx", {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 17, 18});
  const Dataset images = load(fmt::format(R"({{"name": "idx", "images": "{}"}})", idx));
  EXPECT_THAT(images.train.pixels, ElementsAre(17, 18));

  for (const char* name : {"mnist", "fashion-mnist"})
    EXPECT_THAT(error(fmt::format(R"({{"name": "{}", "path": "{}"}})", name, folder.path("none"))),
                HasSubstr("none"))
        << name;
}

TEST(Datasets, ImageFolders) {
  const TemporaryFolder folder;
  const std::vector<std::byte> png = encode_png({{2, 4, 1}, {9, 0, 200, 9, 9, 100, 100, 9}});
  const auto* bytes = reinterpret_cast<const uint8_t*>(png.data());
  folder.write("x_1.png", {bytes, bytes + png.size()});
  folder.write("y_1.png", {bytes, bytes + png.size()});
  const std::string start = fmt::format(R"({{"name": "image_folder", "path": "{}")", folder.path());
  const Dataset dataset =
      load(start + R"(, "size": 1, "resize": "box", "channels": 3, "crop": "center",
                                           "labels": "prefix", "holdout": 1, "flip": true})");
  EXPECT_EQ(dataset.image_shape, Shape({1, 1, 3}));
  EXPECT_EQ(dataset.train.count, 1);
  EXPECT_THAT(dataset.test.pixels, ElementsAre(100, 100, 100));
  EXPECT_THAT(dataset.class_names, ElementsAre("x", "y"));
  // Without the crop the nines count.
  EXPECT_THAT(
      load(start + R"(, "size": 1, "resize": "box", "crop": "none", "limit": 1})").train.pixels,
      ElementsAre(55));
  EXPECT_THAT(error(start + R"(, "size": 1})"), HasSubstr("x_1.png': 2x4 pixels are not 1x1"));
  EXPECT_THAT(error(start + R"(, "alpha": "drpo"})"), HasSubstr("'drop'"));
}

TEST(Datasets, MixturesKnowTheirLaw) {
  const Dataset ring = load(R"({"name": "gaussian_mixture", "train": 30, "test": 20})");
  EXPECT_EQ(ring.image_shape, Shape({1, 1, 2}));
  EXPECT_EQ(ring.levels, 0);
  EXPECT_EQ(ring.train.values.size(), 60u);
  EXPECT_EQ(ring.test.values.size(), 40u);
  EXPECT_EQ(ring.test.labels.size(), 20u);
  ASSERT_TRUE(ring.mixture.has_value());
  EXPECT_EQ(ring.mixture->components(), 8);
  // The held-out points continue the sequence of the training points.
  EXPECT_EQ(ring.mixture->sample(0, 30, 20), ring.test.values);

  const Dataset images = load(R"({"name": "gaussian_mixture", "layout": "images",
                                  "shape": [4, 6, 3], "modes": 2, "train": 5, "test": 0})");
  EXPECT_EQ(images.image_shape, Shape({4, 6, 3}));
  EXPECT_EQ(images.train.values.size(), 5u * 72);
  EXPECT_EQ(images.test.count, 0);

  const Dataset given = load(R"({"name": "gaussian_mixture", "layout": "explicit",
                                 "weights": [0.25, 0.75], "means": [1, 2, 3, 4, 5, 6],
                                 "deviations": [0.5, 2], "train": 5, "test": 5})");
  EXPECT_EQ(given.image_shape, Shape({1, 1, 3}));
  EXPECT_THAT(given.mixture->variances, ElementsAre(0.25, 0.25, 0.25, 4, 4, 4));
}

TEST(Datasets, MixturesRefuseWhatDoesNotFit) {
  const std::string start = R"({"name": "gaussian_mixture", "layout": )";
  EXPECT_THAT(error(start + R"("explicit", "weights": [0.5, 0.5], "means": [1, 2, 3],
                                "deviations": [1, 1]})"),
              HasSubstr("2 weights, 3 means"));
  EXPECT_THAT(error(start + R"("images", "shape": [4, 4]})"), HasSubstr("shape"));
  EXPECT_THAT(error(start + R"("images", "shape": [4096, 4096, 3], "train": 1000})"),
              HasSubstr("numbers allowed"));
  EXPECT_THAT(error(start + R"("ring", "shape": [4, 4, 1]})"), HasSubstr("shape"));
}

}  // namespace
}  // namespace ddpm
