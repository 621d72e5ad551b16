// Precision and recall of sets whose neighbours are known.
#include "experiments/metrics/precision_recall.h"

#include <gmock/gmock.h>

#include <vector>

#include "framework/cpu/parallel.h"
#include "tests/experiments/metrics/normal_features.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

Tensor line(const std::vector<float>& points) {
  return Tensor::from_host(points, {static_cast<int64_t>(points.size()), 1}, Device::kCpu);
}

TEST(PrecisionRecall, OfPointsOnALine) {
  // With k = 1 the reference 0, 1, 3, 7 reaches 1, 1, 2 and 4 far: [-1, 11]. The samples -1, 5, 20,
  // 21 reach 6, 6, 1, 1 far: [-7, 11] and [19, 22].
  const PrecisionRecall p = precision_recall(line({-1, 5, 20, 21}), line({0, 1, 3, 7}), 1);
  EXPECT_EQ(p.precision, 0.5);  // -1 lies on the edge of a ball, which is part of it
  EXPECT_EQ(p.recall, 1);
}

TEST(PrecisionRecall, TellsFewModesFromFewGoodImages) {
  // One mode of two: all samples are good, half of the reference is not reached.
  const std::vector<float> left = {0, 1, 2, 3, 4}, right = {100, 101, 102, 103, 104};
  std::vector<float> both = left;
  both.insert(both.end(), right.begin(), right.end());
  EXPECT_EQ(precision_recall(line(left), line(both)).precision, 1);
  EXPECT_EQ(precision_recall(line(left), line(both)).recall, 0.5);
  EXPECT_EQ(precision_recall(line(both), line(left)).precision, 0.5);
  EXPECT_EQ(precision_recall(line(both), line(left)).recall, 1);
}

TEST(PrecisionRecall, OfEqualLawsDoesNotDependOnThreads) {
  const Tensor x = testing::normal_features(700, 8, 1), y = testing::normal_features(600, 8, 2);
  cpu::set_thread_count(1);
  const PrecisionRecall one = precision_recall(x, y);
  cpu::set_thread_count(3);
  const PrecisionRecall three = precision_recall(x, y);
  cpu::set_thread_count(0);
  EXPECT_EQ(one.precision, three.precision);
  EXPECT_EQ(one.recall, three.recall);
  // Of n points of a law a third to four fifths of the others lie within reach of one: not nearly
  // all, which wrong radii (of another rank) would give, and not few.
  EXPECT_GT(one.precision, 0.6);
  EXPECT_LT(one.precision, 0.95);
}

TEST(PrecisionRecall, NeedsNeighbours) {
  EXPECT_THAT(testing::error_of([] {
                precision_recall(line({1, 2, 3}), line({1, 2, 3, 4}));
              }),
              ::testing::HasSubstr("3 samples and 4 reference images, at least 4 of each"));
}

}  // namespace
}  // namespace ddpm
