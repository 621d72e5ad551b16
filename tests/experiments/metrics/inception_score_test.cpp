// The Inception Score of laws whose score is known.
#include "experiments/metrics/inception_score.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/core/check.h"
#include "tests/experiments/metrics/normal_features.h"

namespace ddpm {
namespace {

// Image i is of class i mod classes with certainty.
Tensor certain(int64_t count, int64_t classes) {
  Tensor logits = Tensor::zeros({count, classes}, DType::kF32, Device::kCpu);
  for (int64_t i = 0; i < count; ++i) logits.data<float>()[i * classes + i % classes] = 1000;
  return logits;
}

TEST(InceptionScore, OfCertainAndEvenClassesIsTheirNumber) {
  InceptionScore score(40, 4);
  score.add(certain(40, 4));
  EXPECT_NEAR(score.result().mean, 4, 1e-12);
  EXPECT_NEAR(score.result().std, 0, 1e-12);
}

TEST(InceptionScore, OfImagesThatSayNothingIsOne) {
  InceptionScore score(20, 5, 2);
  score.add(Tensor::zeros({20, 5}, DType::kF32, Device::kCpu));
  EXPECT_NEAR(score.result().mean, 1, 1e-12);
}

TEST(InceptionScore, SplitsAreTheImagesInOrder) {
  // Splits of 3, 4 and 4 images; the first sees one class, the others two.
  InceptionScore score(11, 2, 3);
  score.add(certain(1, 2));
  score.add(certain(1, 2));
  score.add(certain(1, 2));
  score.add(certain(8, 2));
  EXPECT_NEAR(score.result().mean, (1 + 2 + 2) / 3.0, 1e-12);
  EXPECT_NEAR(score.result().std, std::sqrt(2.0) / 3, 1e-12);
}

TEST(InceptionScore, GoesOnFromItsState) {
  const Tensor logits = testing::normal_features(30, 7, 1);
  InceptionScore whole(30, 7), first(30, 7), second(30, 7);
  whole.add(logits);
  first.add(logits.slice(0, 13));
  second.restore(first.state());
  second.add(logits.slice(13, 30));
  EXPECT_EQ(second.result().mean, whole.result().mean);
  EXPECT_THROW(InceptionScore(30, 8).restore(first.state()), UserError);
}

TEST(InceptionScore, NeedsAnImageASplit) { EXPECT_THROW(InceptionScore(9, 4), UserError); }

}  // namespace
}  // namespace ddpm
