// The transforms on images small enough to write down.
#include "data/transforms.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::refusal;

Dataset images(const Shape& shape, int64_t count, std::vector<uint8_t> pixels) {
  Dataset dataset;
  dataset.name = "some";
  dataset.image_shape = shape;
  dataset.train.count = count;
  dataset.train.pixels = std::move(pixels);
  return dataset;
}

// `count` images of one pixel whose value and label are their index.
Dataset numbered(int64_t count) {
  std::vector<uint8_t> pixels(static_cast<size_t>(count));
  std::iota(pixels.begin(), pixels.end(), uint8_t{0});
  Dataset dataset = images({1, 1, 1}, count, pixels);
  dataset.train.labels.assign(pixels.begin(), pixels.end());
  return dataset;
}

TEST(Transforms, HoldOutSplitsWithoutLoss) {
  Dataset dataset = numbered(100);
  hold_out(dataset, 17);
  EXPECT_EQ(dataset.train.count, 83);
  EXPECT_EQ(dataset.test.count, 17);
  std::set<uint8_t> seen;
  for (const Split* split : {&dataset.train, &dataset.test}) {
    EXPECT_EQ(split->pixels.size(), static_cast<size_t>(split->count));
    EXPECT_TRUE(std::equal(split->pixels.begin(), split->pixels.end(), split->labels.begin(),
                           split->labels.end()));
    EXPECT_TRUE(std::is_sorted(split->pixels.begin(), split->pixels.end()));
    seen.insert(split->pixels.begin(), split->pixels.end());
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST(Transforms, HoldOutIsScattered) {
  Dataset dataset = numbered(100);
  hold_out(dataset, 50);
  // Of a random half about 25 lie in either half of the indices; the standard deviation is 2.5.
  const auto below = std::count_if(dataset.test.pixels.begin(), dataset.test.pixels.end(),
                                   [](uint8_t v) { return v < 50; });
  EXPECT_GT(below, 12);
  EXPECT_LT(below, 38);
}

TEST(Transforms, HoldOutRefusesAllNothingAndTwice) {
  Dataset dataset = numbered(10);
  EXPECT_THAT(refusal([&] { hold_out(dataset, 10); }), HasSubstr("hold out 10 of 10"));
  EXPECT_THAT(refusal([&] { hold_out(dataset, 0); }), HasSubstr("hold out 0"));
  hold_out(dataset, 2);
  EXPECT_THAT(refusal([&] { hold_out(dataset, 2); }), HasSubstr("has a held-out split of 2"));
}

TEST(Transforms, LimitKeepsTheFirst) {
  Dataset dataset = numbered(10);
  hold_out(dataset, 4);
  const std::vector<uint8_t> before = dataset.train.pixels;
  limit(dataset, 3);
  EXPECT_EQ(dataset.train.count, 3);
  EXPECT_THAT(dataset.train.pixels, ElementsAre(before[0], before[1], before[2]));
  EXPECT_THAT(dataset.train.labels, ElementsAre(before[0], before[1], before[2]));
  EXPECT_EQ(dataset.test.count, 4);
  EXPECT_THAT(refusal([&] { limit(dataset, 4); }), HasSubstr("limit 4"));
}

TEST(Transforms, PadCentresOnBlack) {
  Dataset dataset = images({2, 1, 3}, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  resize(dataset, 3, 3, Resize::kPad);
  EXPECT_EQ(dataset.image_shape, Shape({3, 3, 3}));
  EXPECT_THAT(dataset.train.pixels, ElementsAreArray({
                                        0, 0, 0, 1,  2,  3,  0, 0, 0,  //
                                        0, 0, 0, 4,  5,  6,  0, 0, 0,  //
                                        0, 0, 0, 0,  0,  0,  0, 0, 0,  // the odd row goes below
                                        0, 0, 0, 7,  8,  9,  0, 0, 0,  //
                                        0, 0, 0, 10, 11, 12, 0, 0, 0,  //
                                        0, 0, 0, 0,  0,  0,  0, 0, 0,
                                    }));
}

TEST(Transforms, NearestRepeatsAndSkips) {
  Dataset dataset = images({2, 2, 1}, 1, {1, 2, 3, 4});
  resize(dataset, 4, 2, Resize::kNearest);
  EXPECT_THAT(dataset.train.pixels, ElementsAre(1, 2, 1, 2, 3, 4, 3, 4));
  resize(dataset, 2, 1, Resize::kNearest);
  EXPECT_THAT(dataset.train.pixels, ElementsAre(2, 4));
}

// Pillow's 8-bit BILINEAR of the same image.
TEST(Transforms, BilinearIsPillows) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 4; ++x)
      pixels.push_back(static_cast<uint8_t>(37 * y * y + 91 * x + 53 * x * y));
  const auto expect = [&](int64_t height, int64_t width, const std::vector<int>& expected) {
    Dataset dataset = images({5, 4, 1}, 1, pixels);
    resize(dataset, height, width, Resize::kBilinear);
    EXPECT_THAT(dataset.train.pixels, ElementsAreArray(expected)) << height << "x" << width;
  };
  expect(7, 9, {0,   15,  56,  96,  137, 177, 118, 45, 17,  21,  41,  95,  141, 130, 119, 122,
                127, 129, 69,  83,  121, 150, 106, 63, 120, 190, 217, 148, 138, 112, 86,  60,
                33,  107, 194, 227, 97,  94,  84,  75, 66,  56,  76,  98,  107, 78,  81,  88,
                96,  104, 110, 118, 126, 128, 80,  88, 109, 130, 151, 171, 192, 213, 221});
  expect(2, 3, {74, 111, 132, 94, 95, 137});
  expect(8, 2, {65, 98, 82, 119, 103, 146, 105, 131, 96, 104, 75, 67, 96, 133, 114, 187});
}

TEST(Transforms, BilinearKeepsConstantImagesAndChannels) {
  Dataset dataset = images({2, 2, 3}, 1, {16, 0, 7, 16, 0, 7, 16, 0, 7, 16, 0, 7});
  dataset.levels = 17;
  resize(dataset, 7, 5, Resize::kBilinear);
  for (size_t i = 0; i < dataset.train.pixels.size(); i += 3) {
    EXPECT_EQ(dataset.train.pixels[i], 16);
    EXPECT_EQ(dataset.train.pixels[i + 1], 0);
    EXPECT_EQ(dataset.train.pixels[i + 2], 7);
  }
}

TEST(Transforms, ResizeAppliesToBothSplits) {
  Dataset dataset = numbered(4);
  hold_out(dataset, 1);
  resize(dataset, 2, 2, Resize::kNearest);
  EXPECT_EQ(dataset.train.pixels.size(), 3u * 4);
  EXPECT_EQ(dataset.test.pixels.size(), 1u * 4);
}

TEST(Transforms, ResizeSaysWhatToDo) {
  Dataset dataset = images({2, 2, 1}, 1, {1, 2, 3, 4});
  EXPECT_THAT(refusal([&] { resize(dataset, 4, 4, Resize::kNone); }),
              AllOf(HasSubstr("2x2"), HasSubstr("4x4"), HasSubstr("pad")));
  EXPECT_THAT(refusal([&] { resize(dataset, 1, 4, Resize::kPad); }), HasSubstr("cannot shrink"));
  EXPECT_THAT(refusal([&] { resize(dataset, 0, 4, Resize::kNearest); }), HasSubstr("0x4"));
  resize(dataset, 2, 2, Resize::kNone);  // nothing to do
  EXPECT_THAT(dataset.train.pixels, ElementsAre(1, 2, 3, 4));
}

TEST(Transforms, ChannelsRepeatAndWeigh) {
  Dataset grey = images({1, 2, 1}, 1, {5, 250});
  convert_channels(grey, 3);
  EXPECT_EQ(grey.image_shape, Shape({1, 2, 3}));
  EXPECT_THAT(grey.train.pixels, ElementsAre(5, 5, 5, 250, 250, 250));
  convert_channels(grey, 1);  // grey stays what it was: the weights sum to one
  EXPECT_THAT(grey.train.pixels, ElementsAre(5, 250));
  Dataset colour = images({1, 3, 3}, 1, {255, 0, 0, 0, 255, 0, 0, 0, 255});
  convert_channels(colour, 1);
  EXPECT_THAT(colour.train.pixels, ElementsAre(76, 150, 29));  // BT.601 luma of the primaries
  EXPECT_THAT(refusal([&] { convert_channels(colour, 2); }), HasSubstr("2 channels of 1"));
}

TEST(Transforms, ContinuousDataKeepTheirShape) {
  Dataset dataset = images({1, 1, 2}, 2, {});
  dataset.levels = 0;
  dataset.train.values = {1, 2, 3, 4};
  EXPECT_THAT(refusal([&] { resize(dataset, 2, 2, Resize::kPad); }), HasSubstr("continuous"));
  EXPECT_THAT(refusal([&] { convert_channels(dataset, 1); }), HasSubstr("continuous"));
  limit(dataset, 1);
  EXPECT_THAT(dataset.train.values, ElementsAre(1, 2));
}

}  // namespace
}  // namespace ddpm
