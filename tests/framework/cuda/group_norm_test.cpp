// Group normalisation on shapes that the op cases, which finite differences check, cannot have:
// several chunks of positions, several tiles of channels, packs and single elements.
#include "framework/ops/group_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

using CudaGroupNorm = Cuda;

struct NormCase {
  const char* name;
  Shape x;
  int groups;
  bool silu = true;
  double dropout = 0.2;
  int64_t shift = 0;  // x begins that many elements behind an aligned address
  int64_t skip = 0;   // the last so many channels of x are a tensor of their own
};

const NormCase kCases[] = {
    // Maps that one block takes at a time
    {"plain", {3, 4, 4, 8}, 2, false, 0},
    {"silu", {3, 4, 4, 8}, 2, true, 0},
    {"dropout", {3, 4, 4, 8}, 2, false, 0.5},
    {"one position", {3, 1, 1, 8}, 2},
    {"several tiles", {2, 1, 17, 512}, 32},
    {"tiles that a group must end", {2, 4, 4, 129}, 3},
    {"more samples than rows of threads", {19, 3, 3, 36}, 6},
    {"unaligned", {2, 5, 5, 24}, 3, true, 0.2, 1},
    {"skip", {2, 4, 4, 48}, 3, true, 0.2, 0, 16},
    {"a group in x and skip", {2, 16, 16, 72}, 6, true, 0.2, 0, 24},
    {"an odd seam", {2, 4, 4, 24}, 2, true, 0.2, 0, 7},
    // The others
    {"a group wider than a block", {1, 5, 6, 129}, 1},
    {"one channel", {2, 9, 40, 1}, 1},
    {"two tiles of single channels, a group in both", {1, 5, 60, 129}, 3},
    {"two tiles of packs, groups in both", {1, 20, 13, 1032}, 43},
    {"as many chunks as there may be", {1, 1, 4100, 127}, 1},
    {"chunks, a group in x and skip", {2, 1, 600, 72}, 6, true, 0.2, 0, 24},
};

// bf16 values, whatever the type.
Tensor tensor(const char* name, Shape shape, DType dtype, Device device, int64_t shift = 0) {
  const OpCase values{.name = name, .inputs = {{{shift + shape.numel()}, -2, 3}}, .run = {}};
  return make_inputs(values, dtype, device, {}, true)[0].view(shift, shape).set_requires_grad(true);
}

std::vector<double> host(const Tensor& t) { return cast(t, DType::kF64).to_host<double>(); }

// y, dx, dgamma, dbeta, dskip
std::vector<std::vector<double>> run(const NormCase& c, DType dtype, Device device) {
  const DType wide = accumulator_of(dtype);
  const int64_t channels = c.x[3];
  const Tensor x = tensor("x", c.x.with_inner(channels - c.skip), dtype, device, c.shift);
  const Tensor skip = c.skip ? tensor("skip", c.x.with_inner(c.skip), dtype, device) : Tensor();
  const Tensor gamma = tensor("gamma", {channels}, wide, device);
  const Tensor beta = tensor("beta", {channels}, wide, device);
  const Tensor dy = tensor("dy", c.x, wide, device).detach();
  const RandomStream stream{7, random_site("mask"), random_counter(3, 11, device)};
  Tape tape;
  const Tensor y =
      group_norm({x, skip}, gamma, beta,
                 {.groups = c.groups, .silu = c.silu, .dropout = c.dropout, .stream = stream});
  tape.backward(sum(multiply(cast(y, wide), dy)));
  std::vector<std::vector<double>> results = {host(y), host(x.grad()), host(gamma.grad()),
                                              host(beta.grad())};
  if (skip) results.push_back(host(skip.grad()));
  return results;
}

void expect_close(const NormCase& c, DType dtype, double tolerance) {
  const auto actual = run(c, dtype, Device::kCuda);
  const auto expected = run(c, DType::kF64, Device::kCpu);
  const char* names[] = {"y", "dx", "dgamma", "dbeta", "dskip"};
  for (size_t k = 0; k < actual.size(); ++k) {
    // A parameter's gradient is a sum of terms near 1, which may nearly cancel.
    double largest = k == 2 || k == 3 ? static_cast<double>(c.x.numel() / c.x[3]) : 0;
    for (const double e : expected[k]) largest = std::max(largest, std::abs(e));
    for (size_t i = 0; i < actual[k].size(); ++i)
      ASSERT_NEAR(actual[k][i], expected[k][i], tolerance * largest)
          << c.name << ", " << names[k] << ", element " << i;
  }
}

TEST_F(CudaGroupNorm, MatchesTheCpu) {
  for (const NormCase& c : kCases) {
    expect_close(c, DType::kF64, 1e-13);
    expect_close(c, DType::kF32, 2e-6);     // a dozen roundings of 6e-8, and those of the inputs
    expect_close(c, DType::kBf16, 0x1p-8);  // the rounding of y and dx
  }
}

// The variance is 4e-4 beside a mean square of 1e6: a sum of squares would have no digit of it.
TEST_F(CudaGroupNorm, KeepsSmallVariancesBesideLargeMeans) {
  for (const int64_t positions : {200, 600}) {
    const int64_t channels = 8;
    std::vector<float> values(static_cast<size_t>(positions * channels));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 1000.0f + (i / 8 % 2 ? 0.03125f : 0);
    const Tensor gamma = full({channels}, 1, DType::kF32, Device::kCuda);
    const Tensor beta = full({channels}, 0, DType::kF32, Device::kCuda);
    const Tensor y =
        group_norm(Tensor::from_host(values, {1, positions, 1, channels}, Device::kCuda), gamma,
                   beta, {.groups = 2, .epsilon = 0});
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(y.to_host<float>()[i], i / 8 % 2 ? 1 : -1, 1e-5) << i;
  }
}

TEST_F(CudaGroupNorm, SamplesHaveTheSameBitsInAnyBatch) {
  for (const Device device : {Device::kCpu, Device::kCuda})
    for (const int64_t width : {8, 20}) {
      const Tensor gamma = tensor("gamma", {144}, DType::kF32, device);
      const Tensor beta = tensor("beta", {144}, DType::kF32, device);
      const auto norm = [&](const Tensor& x, int64_t first_row) {
        const RandomStream stream{7, 1, random_counter(3, first_row, device)};
        return group_norm(x, gamma, beta, {.groups = 12, .dropout = 0.3, .stream = stream});
      };
      const Tensor x = tensor("x", {9, 20, width, 144}, DType::kF32, device);
      EXPECT_EQ(norm(x.slice(3, 4), 3).to_host<float>(), norm(x, 0).slice(3, 4).to_host<float>());
    }
}

// The mask of a step is a function of the stream alone.
TEST_F(CudaGroupNorm, DropsTheSameElementsInEveryTypeAndOnTheCpu) {
  const auto is_dropped = [](DType dtype, Device device) {
    const Tensor x = tensor("x", {3, 5, 5, 24}, dtype, device);
    const DType wide = accumulator_of(dtype);
    const RandomStream stream{7, 1, random_counter(3, 2, device)};
    const std::vector<double> y =
        host(group_norm(x, full({24}, 0, wide, device), full({24}, 1, wide, device),
                        {.groups = 3, .dropout = 0.3, .stream = stream}));
    std::vector<bool> dropped;
    for (const double value : y) dropped.push_back(value == 0);
    return dropped;
  };
  const std::vector<bool> expected = is_dropped(DType::kF32, Device::kCpu);
  EXPECT_NEAR(std::count(expected.begin(), expected.end(), true), 0.3 * 1800, 60);  // 3 sigma
  EXPECT_EQ(is_dropped(DType::kBf16, Device::kCpu), expected);
  EXPECT_EQ(is_dropped(DType::kF32, Device::kCuda), expected);
  EXPECT_EQ(is_dropped(DType::kBf16, Device::kCuda), expected);
}

}  // namespace
}  // namespace ddpm::testing
