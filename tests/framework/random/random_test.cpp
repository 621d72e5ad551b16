// Random streams: known vectors, moments, independence from batch splits, and permutations.
#include "framework/random/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "framework/random/permutation.h"
#include "framework/random/philox_block.h"

namespace ddpm {
namespace {

RandomStream stream(const char* site, int64_t step = 0, int64_t first_row = 0) {
  return {42, random_site(site), random_counter(step, first_row, Device::kCpu)};
}

// Known answers published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, MatchesPublishedVectors) {
  const auto expect = [](uint64_t seed, DrawId id, uint32_t quad, std::array<uint32_t, 4> words) {
    const Bits4 bits = philox(seed, id, quad);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(bits.v[i], words[i]);
  };
  expect(0, {0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t ones = 0xffffffff;
  expect(~uint64_t{0}, {ones, ones, ones}, ones, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  expect(uint64_t{0x299f31d0} << 32 | 0xa4093822,
         {.site = 0x03707344, .step = 0x13198a2e, .row = 0x85a308d3}, 0x243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST(Philox, BlocksHaveTheBitsOfSingleCounters) {
  uint32_t bits[kPhiloxBlock];
  const DrawId id{9, 8, 7};
  philox_block(123456789012345, id, 400, bits);
  for (int i = 0; i < kPhiloxBlock; ++i)
    EXPECT_EQ(bits[i], philox(123456789012345, id, static_cast<uint32_t>(100 + i / 4)).v[i % 4]);
}

TEST(Philox, LogAndSineAreAccurate) {
  double worst_log = 0, worst_sine = 0;
  for (uint32_t i = 0; i < (1u << 23); i += 7) {
    const float u = to_uniform(i << 9);
    ASSERT_GT(u, 0);
    ASSERT_LT(u, 1);
    const double exact = std::log(static_cast<double>(u));
    worst_log = std::max(worst_log, std::abs((portable_log(u) - exact) / exact));
    float s, c;
    portable_sincos_turn(u, &s, &c);
    const double angle = 2 * M_PI * static_cast<double>(u);
    worst_sine =
        std::max({worst_sine, std::abs(s - std::sin(angle)), std::abs(c - std::cos(angle))});
  }
  EXPECT_LT(worst_log, 2e-7);
  EXPECT_LT(worst_sine, 2e-7);
}

TEST(FillNormal, HasStandardMoments) {
  Tensor y = Tensor::empty({64, 16384}, DType::kF32, Device::kCpu);
  fill_normal(stream("moments"), y);
  double m1 = 0, m2 = 0, m4 = 0;
  for (float v : y.to_host<float>()) {
    m1 += v;
    m2 += double{v} * v;
    m4 += std::pow(double{v}, 4);
  }
  const double n = static_cast<double>(y.numel());
  // Five standard errors of the mean, the variance and the fourth moment of a million normals.
  EXPECT_NEAR(m1 / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(m2 / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(m4 / n, 3, 5 * std::sqrt(96 / n));
}

// The bits are the contract between backends, compilers and releases: runs must stay repeatable.
TEST(FillNormal, BitsArePinned) {
  Tensor y = Tensor::empty({3, 1001}, DType::kF32, Device::kCpu);
  fill_normal(stream("pinned", 5, 17), y);
  uint64_t hash = 14695981039346656037u;
  for (float v : y.to_host<float>()) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
  EXPECT_EQ(hash, 0xf1eafda26f5912f1u);
}

TEST(FillNormal, RowsDoNotDependOnTheBatchTheyAreDrawnIn) {
  Tensor all = Tensor::empty({5, 30}, DType::kF64, Device::kCpu);
  Tensor tail = Tensor::empty({2, 30}, DType::kF64, Device::kCpu);
  fill_normal(stream("rows", 1, 0), all);
  fill_normal(stream("rows", 1, 3), tail);
  EXPECT_EQ(all.slice(3, 5).to_host<double>(), tail.to_host<double>());
}

TEST(FillNormal, StreamsStepsAndSeedsDiffer) {
  const auto draw = [](RandomStream s) {
    Tensor y = Tensor::empty({1, 8}, DType::kF32, Device::kCpu);
    fill_normal(s, y);
    return y.to_host<float>();
  };
  std::set<std::vector<float>> distinct = {draw(stream("a")), draw(stream("b")),
                                           draw(stream("a", 1)), draw(stream("a", 0, 1))};
  RandomStream other = stream("a");
  other.seed = 43;
  distinct.insert(draw(other));
  EXPECT_EQ(distinct.size(), 5u);
}

TEST(FillRandint, IsUniform) {
  Tensor y = Tensor::empty({100000}, DType::kI32, Device::kCpu);
  fill_randint(stream("t"), 10, y);
  std::array<int, 10> counts{};
  for (int32_t v : y.to_host<int32_t>()) ++counts.at(static_cast<size_t>(v));
  double chi2 = 0;
  for (int c : counts) chi2 += std::pow(c - 10000.0, 2) / 10000;
  EXPECT_LT(chi2, 33.7);  // the 0.9999 quantile with 9 degrees of freedom
}

TEST(Permutation, IsABijectionForEverySize) {
  for (uint32_t size : {1u, 2u, 3u, 5u, 16u, 17u, 1000u, 1025u}) {
    std::vector<uint32_t> seen(size);
    const Permutation p(1, 2, 3, size);
    for (uint32_t i = 0; i < size; ++i) ++seen.at(p(i));
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1u), size) << size;
  }
}

TEST(EpochIndices, VisitEveryItemOncePerEpochInAnOrderThatChanges) {
  std::vector<int32_t> order;
  for (int64_t step = 0; step < 6; ++step) {
    Tensor y = Tensor::empty({7}, DType::kI32, Device::kCpu);
    fill_epoch_indices(stream("order", step), 21, y);
    const std::vector<int32_t> batch = y.to_host<int32_t>();
    order.insert(order.end(), batch.begin(), batch.end());
  }
  std::vector<int32_t> first(order.begin(), order.begin() + 21);
  std::vector<int32_t> second(order.begin() + 21, order.end());
  EXPECT_NE(first, second);
  std::vector<int32_t> all(21);
  std::iota(all.begin(), all.end(), 0);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, all);
  EXPECT_EQ(second, all);
}

}  // namespace
}  // namespace ddpm
