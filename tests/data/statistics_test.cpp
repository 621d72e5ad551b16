// The report of a data set small enough to compute by hand.
#include "data/statistics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/digits.h"

namespace ddpm {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Dataset two_images() {
  Dataset dataset;
  dataset.name = "two";
  dataset.image_shape = {1, 2, 3};
  dataset.class_names = {"a", "b", "c"};
  dataset.train.count = 2;
  dataset.train.pixels = {1, 10, 100, 3, 10, 200, 5, 10, 100, 7, 10, 200};
  dataset.train.labels = {2, 2};
  return dataset;
}

TEST(Statistics, OfPixelsAreExact) {
  const Dataset dataset = two_images();
  const SplitStatistics s = statistics(dataset, dataset.train);
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 200);
  EXPECT_THAT(s.mean, ElementsAre(4, 10, 150));
  EXPECT_THAT(s.std, ElementsAre(DoubleEq(std::sqrt(5.0)), 0, 50));
  EXPECT_THAT(s.class_counts, ElementsAre(0, 0, 2));
}

TEST(Statistics, OfContinuousValues) {
  Dataset dataset;
  dataset.image_shape = {1, 1, 2};
  dataset.levels = 0;
  dataset.train.count = 2;
  dataset.train.values = {-1.5f, 2, 0.5f, 4};
  const SplitStatistics s = statistics(dataset, dataset.train);
  EXPECT_EQ(s.min, -1.5);
  EXPECT_EQ(s.max, 4);
  EXPECT_THAT(s.mean, ElementsAre(-0.5, 3));
  EXPECT_THAT(s.std, ElementsAre(1, 1));
  EXPECT_TRUE(s.class_counts.empty());
}

TEST(Statistics, OfAnEmptySplitAreZero) {
  const Dataset dataset = two_images();
  const SplitStatistics s = statistics(dataset, dataset.test);
  EXPECT_EQ(s.max, 0);
  EXPECT_THAT(s.mean, ElementsAre(0, 0, 0));
}

TEST(Statistics, DescriptionsCarryWhatIdentifiesTheData) {
  Dataset dataset = read_digits();
  fingerprint(dataset.train);
  dataset.note = "beware";
  const nlohmann::json json = describe(dataset);
  EXPECT_EQ(json["shape"], (nlohmann::json{8, 8, 1}));
  EXPECT_EQ(json["levels"], 17);
  EXPECT_EQ(json["train"]["count"], 1797);
  EXPECT_EQ(json["train"]["data_sha256"], dataset.train.data_sha256);
  EXPECT_EQ(json["train"]["class_counts"][3], 183);
  EXPECT_EQ(json["test"]["count"], 0);
  const std::string text = describe_text(dataset);
  for (const std::string& part :
       {dataset.train.data_sha256, dataset.train.labels_sha256, dataset.source, dataset.licence,
        dataset.note, std::string("17 grey levels"), std::string("held out  none")})
    EXPECT_THAT(text, HasSubstr(part));
}

}  // namespace
}  // namespace ddpm
