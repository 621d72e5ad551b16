// The embedded digits against numbers computed from scikit-learn's file with Python.
#include "data/digits.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

TEST(Digits, AreAllThere) {
  Dataset dataset = read_digits();
  EXPECT_EQ(dataset.image_shape, Shape({8, 8, 1}));
  EXPECT_EQ(dataset.levels, 17);
  EXPECT_EQ(dataset.train.count, 1797);
  EXPECT_EQ(dataset.train.pixels.size(), 1797u * 64);
  EXPECT_FALSE(dataset.flippable);
  fingerprint(dataset.train);
  EXPECT_EQ(dataset.train.data_sha256,
            "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3");
  EXPECT_EQ(dataset.train.labels_sha256,
            "3a0e68456f9a3c609b399717dd9ca55bb9153be1bccf72e38e3319cb740c75cd");
}

TEST(Digits, UseEveryLevelAndEveryClass) {
  const Dataset dataset = read_digits();
  std::array<int64_t, 256> levels{};
  for (uint8_t pixel : dataset.train.pixels) ++levels[pixel];
  for (int level = 0; level < 256; ++level)
    EXPECT_EQ(levels[level] > 0, level < dataset.levels) << level;
  std::array<int64_t, 10> classes{};
  for (int32_t label : dataset.train.labels) ++classes.at(static_cast<size_t>(label));
  EXPECT_THAT(classes, ElementsAre(178, 182, 177, 183, 181, 182, 181, 179, 174, 180));
}

TEST(Digits, TheFirstIsAZero) {
  const Dataset dataset = read_digits();
  EXPECT_EQ(dataset.train.labels[0], 0);
  const std::vector<uint8_t> first(dataset.train.pixels.begin(), dataset.train.pixels.begin() + 64);
  EXPECT_THAT(first, ElementsAreArray({
                         0, 0, 5,  13, 9,  1,  0, 0,  //
                         0, 0, 13, 15, 10, 15, 5, 0,  //
                         0, 3, 15, 2,  0,  11, 8, 0,  //
                         0, 4, 12, 0,  0,  8,  8, 0,  //
                         0, 5, 8,  0,  0,  9,  8, 0,  //
                         0, 4, 11, 0,  1,  12, 7, 0,  //
                         0, 2, 14, 5,  10, 12, 0, 0,  //
                         0, 0, 6,  13, 10, 0,  0, 0,
                     }));
}

}  // namespace
}  // namespace ddpm
