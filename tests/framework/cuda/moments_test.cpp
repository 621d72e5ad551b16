// The statistics of group_norm that come from the moments which convolutions leave, against those
// of the stored values in f64, for all kernels that leave them and all ways in which they do.
#include "framework/cuda/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "framework/core/dispatch.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/group_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/upsample_conv2d.h"
#include "framework/train/step_runner.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

struct MomentsCase {
  const char* name;
  const char* algorithm;
  Shape x, weight;
  std::function<Tensor(const Tensor& x, const Tensor& weight, const Tensor& bias)> run;
};

Tensor conv3x3(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return conv2d(x, weight, bias, Conv2dGeometry::same(3), {.feeds_norm = true});
}
Tensor conv3x3_by_2(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return conv2d(x, weight, bias, Conv2dGeometry::same(3, 2), {.feeds_norm = true});
}
Tensor upsampled(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return upsample_conv2d(x, weight, bias, true);
}
Tensor transposed(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return conv2d_transpose(x, weight, bias, Conv2dGeometry::same(3, 2), true);
}
Tensor pointwise(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return linear(x, weight, bias, {}, true);
}

const MomentsCase kCases[] = {
    {"small tiles", "mma", {2, 8, 8, 16}, {24, 3, 3, 16}, conv3x3},
    {"ragged tiles", "mma", {3, 4, 12, 24}, {72, 3, 3, 24}, conv3x3},
    {"large tiles", "mma", {1, 128, 132, 8}, {72, 3, 3, 8}, conv3x3},
    {"an image, element by element", "mma", {2, 8, 8, 3}, {20, 3, 3, 3}, conv3x3},
    {"stride 2", "mma", {3, 8, 8, 16}, {40, 3, 3, 16}, conv3x3_by_2},
    {"pointwise", "mma", {2, 4, 4, 40}, {72, 40}, pointwise},
    {"an image per box", "wgmma", {2, 8, 8, 64}, {128, 3, 3, 64}, conv3x3},
    {"images in a box and a ragged tile", "wgmma", {7, 4, 4, 128}, {64, 3, 3, 128}, conv3x3},
    {"lines in a box and ragged columns", "wgmma", {1, 16, 16, 64}, {192, 3, 3, 64}, conv3x3},
    {"pieces of a deep sum", "wgmma", {2, 4, 4, 256}, {320, 3, 3, 256}, conv3x3},
    {"stride 2", "wgmma", {3, 16, 16, 128}, {64, 3, 3, 128}, conv3x3_by_2},
    {"pointwise", "wgmma", {3, 4, 8, 192}, {128, 192}, pointwise},
    {"high tiles", "wgmma", {33, 32, 32, 64}, {128, 64}, pointwise},
    {"wide tiles", "wgmma", {17, 32, 32, 64}, {256, 64}, pointwise},
    {"4 to 8", "wgmma", {5, 4, 4, 128}, {64, 3, 3, 128}, upsampled},
    {"8 to 16", "wgmma", {2, 8, 8, 64}, {192, 3, 3, 64}, upsampled},
    {"pieces of phases", "wgmma", {2, 4, 4, 256}, {320, 3, 3, 256}, upsampled},
    {"pieces of unlike phases", "wgmma", {2, 4, 4, 320}, {320, 3, 3, 256}, transposed},
};

// In bf16, with the bias at `offset`. Sums come out near 1.
Tensor run(const MomentsCase& c, float offset = 0) {
  const int64_t depth = c.weight.numel() / c.weight[0];
  const double scale = 3 / std::sqrt(static_cast<double>(depth));
  const bool is_transposed = c.weight.rank() == 4 && c.weight[3] != c.x[3];
  const OpCase values{.name = c.name, .inputs = {{c.x}, {c.weight, -scale, scale}}, .run = {}};
  const Tensors in = make_inputs(values, DType::kBf16, Device::kCuda, {}, true);
  const Tensor bias =
      full({is_transposed ? c.weight[3] : c.weight[0]}, offset, DType::kF32, Device::kCuda);
  return c.run(in[0], in[1], bias);
}

// Mean and standard deviation of every group of every sample of [x | skip].
struct Expected {
  std::vector<double> mean, deviation;
};
Expected statistics_of(const NormInput& input, int groups) {
  std::vector<std::vector<double>> parts;
  for (const Tensor& t : {input.x, input.skip})
    parts.push_back(t ? cast(t, DType::kF64).to_host<double>() : std::vector<double>());
  const Shape& s = input.x.shape();
  const int64_t positions = s[1] * s[2], channels = input.channels(), size = channels / groups;
  const auto value = [&](int64_t position, int64_t c) {
    return c < s[3] ? parts[0][static_cast<size_t>(position * s[3] + c)]
                    : parts[1][static_cast<size_t>(position * (channels - s[3]) + c - s[3])];
  };
  Expected expected;
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t g = 0; g < groups; ++g) {
      const auto mean_of = [&](auto&& term) {
        double sum = 0;
        for (int64_t p = n * positions; p < (n + 1) * positions; ++p)
          for (int64_t c = g * size; c < (g + 1) * size; ++c) sum += term(value(p, c));
        return sum / static_cast<double>(positions * size);
      };
      const double mean = mean_of([](double v) { return v; });
      expected.mean.push_back(mean);
      expected.deviation.push_back(
          std::sqrt(mean_of([&](double v) { return (v - mean) * (v - mean); })));
    }
  return expected;
}

// group_norm's own statistics, and whether they came from moments.
void expect_statistics(const char* name, const NormInput& input, int groups, bool from_moments) {
  const Shape& s = input.x.shape();
  const int64_t channels = input.channels();
  const auto f32 = [](Shape shape) { return Tensor::empty(shape, DType::kF32, Device::kCuda); };
  GroupNormStatistics statistics{f32({s[0], groups}), f32({s[0], groups})};
  Tensor y = Tensor::empty(s.with_inner(channels), DType::kBf16, Device::kCuda);
  const cuda::MomentsTally before = cuda::moments_tally();
  cuda::group_norm_forward(input, full({channels}, 1, DType::kF32, Device::kCuda),
                           full({channels}, 0, DType::kF32, Device::kCuda),
                           {.groups = groups, .epsilon = 0}, statistics, y);
  EXPECT_EQ(cuda::moments_tally().found - before.found, from_moments) << name;
  EXPECT_EQ(cuda::moments_tally().missed - before.missed, !from_moments) << name;
  const Expected expected = statistics_of(input, groups);
  const std::vector<float> mean = statistics.mean.to_host<float>();
  const std::vector<float> rstd = statistics.rstd.to_host<float>();
  for (size_t i = 0; i < mean.size(); ++i) {
    // Some ten mergings with roundings to 6e-8 each. Those of a set's mean change its distance from
    // the others' and so the deviation, but in all directions.
    const double m = std::abs(expected.mean[i]), d = expected.deviation[i];
    ASSERT_NEAR(mean[i], expected.mean[i], 3e-7 * m + 1e-6 * d) << name << ", group " << i;
    ASSERT_NEAR(rstd[i] * d, 1, 2e-6 + 1e-7 * m / d) << name << ", group " << i;
  }
}

class CudaMoments : public Cuda {
 protected:
  void TearDown() override { cpu::force_conv2d_algorithm(""); }

  static bool is_runnable(const MomentsCase& c) {
    const int needed = c.algorithm == std::string("wgmma") ? 90 : 80;
    cpu::force_conv2d_algorithm(c.algorithm);
    return memory::gpu_info().capability >= needed;
  }
};

TEST_F(CudaMoments, AreThoseOfTheValuesAsStored) {
  for (const MomentsCase& c : kCases) {
    if (!is_runnable(c)) continue;
    const Tensor y = run(c);
    const int groups = static_cast<int>(y.shape()[3] / 4);
    expect_statistics(c.name, {y}, groups, true);
    expect_statistics(c.name, {y.detach()}, groups, false);
  }
}

// Values near 256, spaced by 1 and 2: a mean of squares in f32 would be off by 4e-3 of the
// variance.
TEST_F(CudaMoments, KeepSmallVariancesBesideLargeMeans) {
  for (const MomentsCase& c : kCases)
    if (is_runnable(c)) expect_statistics(c.name, {run(c, 256)}, 1, true);
}

TEST_F(CudaMoments, ServeGroupsAcrossTheSeamOfTwoMaps) {
  const MomentsCase x{"x", "wgmma", {2, 8, 8, 64}, {64, 3, 3, 64}, conv3x3};
  const MomentsCase skip{"skip", "wgmma", {2, 8, 8, 64}, {128, 3, 3, 64}, conv3x3};
  const MomentsCase large{"large", "mma", {1, 32, 32, 8}, {24, 3, 3, 8}, conv3x3};
  if (!is_runnable(x)) GTEST_SKIP() << "not a Hopper card";
  expect_statistics("small maps", {run(x), run(skip)}, 16, true);
  expect_statistics("one map without", {run(x), run(skip).detach()}, 16, false);
  expect_statistics("the other without", {run(x).detach(), run(skip)}, 16, false);
  expect_statistics("groups of six", {run(x), run(skip)}, 32, false);
  expect_statistics("large maps", {run(large), run(large)}, 4, true);
}

TEST_F(CudaMoments, AreNotLeftWhereTheyWouldNotFit) {
  if (memory::gpu_info().capability < 80) GTEST_SKIP() << "no matrix unit for bf16";
  const MomentsCase cases[] = {
      {"positions beside whole chunks", "mma", {2, 5, 7, 16}, {24, 3, 3, 16}, conv3x3},
      {"channels beside whole quads", "mma", {2, 8, 8, 16}, {18, 3, 3, 16}, conv3x3},
      {"pieces of a sum", "mma", {1, 4, 4, 136}, {72, 3, 3, 136}, conv3x3},
      {"phases beside whole chunks", "wgmma", {16, 2, 2, 64}, {64, 3, 3, 64}, upsampled},
  };
  for (const MomentsCase& c : cases) {
    cpu::force_conv2d_algorithm(c.algorithm);
    const Tensor y = run(c);
    EXPECT_FALSE(y.slot()->moments) << c.name;
    expect_statistics(c.name, {y}, 2, false);
  }
  const Tensor f32 = conv3x3(full({1, 4, 4, 8}, 1, DType::kF32, Device::kCuda),
                             full({8, 3, 3, 8}, 1, DType::kF32, Device::kCuda), {});
  EXPECT_FALSE(f32.slot()->moments);
}

// They describe one tensor's values, which may not change; its views have none.
TEST_F(CudaMoments, BelongToOneTensorThatIsNotWrittenAgain) {
  if (!is_runnable(kCases[0])) GTEST_SKIP() << "no matrix unit for bf16";
  Tensor y = run(kCases[0]);
  EXPECT_TRUE(Tensor(y).slot()->moments);
  EXPECT_FALSE(y.slice(0, 1).slot()->moments);
  EXPECT_FALSE(y.reshape(y.shape()).slot()->moments);
  EXPECT_THROW(y.copy_from(Tensor::like(y)), Error);
  EXPECT_THROW(y.copy_from_host(y.to_host<bf16>().data()), Error);
}

}  // namespace
}  // namespace ddpm::testing
