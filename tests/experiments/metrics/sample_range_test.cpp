// The range of samples and the verdict that they diverged.
#include "experiments/metrics/sample_range.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "experiments/metrics/metrics.h"

namespace ddpm {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(SampleRange, DescribesFiniteValues) {
  const SampleRange r = sample_range({-1, 1, 0.5F, -1.5F, 3, 1});
  EXPECT_EQ(r.count, 6);
  EXPECT_DOUBLE_EQ(r.min, -1.5);
  EXPECT_DOUBLE_EQ(r.max, 3);
  EXPECT_DOUBLE_EQ(r.mean, 0.5);
  EXPECT_NEAR(r.std, std::sqrt((2.25 + 0.25 + 0 + 4 + 6.25 + 0.25) / 6), 1e-12);
  EXPECT_DOUBLE_EQ(r.outside, 2.0 / 6);
  EXPECT_DOUBLE_EQ(r.far_outside, 1.0 / 6);
  EXPECT_EQ(r.nonfinite, 0);
}

TEST(SampleRange, LeavesOutWhatIsNotFinite) {
  const SampleRange r = sample_range({1, kNan, kInfinity, -kInfinity, 0});
  EXPECT_DOUBLE_EQ(r.min, 0);
  EXPECT_DOUBLE_EQ(r.max, 1);
  EXPECT_DOUBLE_EQ(r.mean, 0.5);
  EXPECT_DOUBLE_EQ(r.nonfinite, 0.6);
  EXPECT_DOUBLE_EQ(r.outside, 0.6);
  EXPECT_TRUE(std::isnan(sample_range({kNan}).mean));
}

TEST(SampleRange, OneNonfiniteValueIsDivergence) {
  std::vector<float> samples(1000, 0.5F);
  EXPECT_FALSE(sample_range(samples).diverged());
  samples[500] = kNan;
  EXPECT_TRUE(sample_range(samples).diverged());
}

TEST(SampleRange, DivergenceIsMoreThanATenthFarOutside) {
  std::vector<float> samples(100, 1.9F);  // outside, but not far
  EXPECT_FALSE(sample_range(samples).diverged());
  for (size_t i = 0; i < 10; ++i) samples[i] = -2.1F;
  EXPECT_FALSE(sample_range(samples).diverged());
  samples[10] = 2.1F;
  EXPECT_TRUE(sample_range(samples).diverged());
  EXPECT_FALSE(sample_range(samples, 1.5).diverged());  // data that reach to 1.5
}

TEST(SampleRange, TheBoundIsThatOfTheData) {
  Dataset dataset;
  EXPECT_EQ(value_bound(dataset), 1);
  dataset.levels = 0;
  dataset.train.values = {0.5F, -3, 2};
  EXPECT_EQ(value_bound(dataset), 3);
}

TEST(SampleRange, DoesNotDependOnBatches) {
  SampleRangeAccumulator batches(1);
  batches.add({1, kNan, 3});
  batches.add({kInfinity});
  SampleRangeAccumulator restored(1);
  restored.restore(batches.state());
  restored.add({-2, 0.5F, 7});
  const SampleRange parts = restored.range();
  const SampleRange whole = sample_range({1, kNan, 3, kInfinity, -2, 0.5F, 7});
  EXPECT_EQ(parts.count, whole.count);
  EXPECT_EQ(parts.min, whole.min);
  EXPECT_EQ(parts.max, whole.max);
  EXPECT_NEAR(parts.mean, whole.mean, 1e-15);
  EXPECT_NEAR(parts.std, whole.std, 1e-15);
  EXPECT_EQ(parts.outside, whole.outside);
  EXPECT_EQ(parts.far_outside, whole.far_outside);
  EXPECT_EQ(parts.nonfinite, whole.nonfinite);
}

TEST(Metrics, AreFoundByTheirNamesInASpace) {
  for (const auto& [name, value] : metric_values(sample_range({0, 1})))
    EXPECT_TRUE(find_metric(name)) << name;
  EXPECT_EQ(find_metric("fd_digits1")->better, "lower");
  EXPECT_EQ(find_metric("kid_std_digits1")->name, "kid_std_<extractor>");
  EXPECT_EQ(find_metric("fid[tf]")->name, "fid[<resize>]");
  EXPECT_EQ(find_metric("precision[clean]")->better, "higher");
  for (const char* unknown : {"fd_", "fid", "fid[]", "fid[tf", "fid_digits1"})
    EXPECT_EQ(find_metric(unknown), nullptr) << unknown;
}

}  // namespace
}  // namespace ddpm
