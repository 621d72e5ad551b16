// The ops of framework/ops/timestep.h that have no gradient and so no OpCase.
#include "framework/ops/timestep.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ddpm {
namespace {

Tensor steps(const std::vector<int32_t>& t) {
  return Tensor::from_host(t, {static_cast<int64_t>(t.size())}, Device::kCpu);
}

TEST(TimestepEmbedding, HasTheSinesFirstAndDividesByHalfMinusOne) {
  const Tensor y = timestep_embedding(steps({0, 999}), 9, DType::kF64);
  ASSERT_EQ(y.shape(), Shape({2, 9}));
  for (int i = 0; i < 4; ++i) {
    const double frequency = std::pow(10000.0, -i / 3.0);
    EXPECT_EQ(y.data<double>()[i], 0);
    EXPECT_EQ(y.data<double>()[4 + i], 1);
    EXPECT_NEAR(y.data<double>()[9 + i], std::sin(999 * frequency), 1e-11);
    EXPECT_NEAR(y.data<double>()[9 + 4 + i], std::cos(999 * frequency), 1e-11);
  }
  EXPECT_EQ(y.data<double>()[8], 0) << "an odd dimension is padded";
  EXPECT_EQ(y.data<double>()[17], 0) << "an odd dimension is padded";
}

TEST(TimestepEmbedding, IsAsExactInF32AsF32Allows) {
  const Tensor t = steps({3999});
  const Tensor low = timestep_embedding(t, 64, DType::kF32);
  const Tensor high = timestep_embedding(t, 64, DType::kF64);
  for (int i = 0; i < 64; ++i)
    EXPECT_NEAR(low.data<float>()[i], high.data<double>()[i], 6e-8);  // half an ulp of 1
}

TEST(TimestepFill, RepeatsTheEntryOfEachSample) {
  const Tensor table = Tensor::from_host<float>({10, 11, 12}, {3}, Device::kCpu);
  const Tensor y = timestep_fill(table, steps({2, 0}), {2, 1, 2});
  EXPECT_EQ(y.to_host<float>(), (std::vector<float>{12, 12, 10, 10}));
}

TEST(TimestepScale, IsLinearBetweenTimesteps) {
  const Tensor table = Tensor::from_host<double>({10, 20, 50}, {3}, Device::kCpu);
  const Tensor t = Tensor::from_host<double>({0.25, 1.5, 2}, {3}, Device::kCpu);
  const Tensor u = Tensor::from_host<double>({1, 2, 3}, {3, 1}, Device::kCpu);
  EXPECT_EQ(timestep_scale(table, u, t).to_host<double>(), (std::vector<double>{12.5, 70, 150}));
  EXPECT_EQ(timestep_mix(table, u, table, u, t).to_host<double>(),
            (std::vector<double>{25, 140, 300}));
}

TEST(AncestralStep, AddsNoNoiseAtTheFirstTimestep) {
  const Tensor mean = Tensor::from_host<double>({1, 2, 3, 4}, {2, 2}, Device::kCpu);
  const Tensor log_variance =
      Tensor::from_host<double>({0, std::log(4.0), std::log(9.0), 0}, {2, 2}, Device::kCpu);
  const Tensor noise = Tensor::from_host<double>({0.5, -1, 1, 2}, {2, 2}, Device::kCpu);
  const std::vector<double> y =
      ancestral_step(mean, log_variance, noise, steps({1, 0})).to_host<double>();
  EXPECT_NEAR(y[0], 1.5, 1e-15);
  EXPECT_NEAR(y[1], 0, 1e-15);
  EXPECT_EQ(y[2], 3);
  EXPECT_EQ(y[3], 4);
}

TEST(NextTimestep, WalksTheListAndStaysAtItsEnd) {
  Tensor counter = Tensor::from_host<int64_t>({0, 7}, {2}, Device::kCpu);
  Tensor t = Tensor::zeros({3}, DType::kI32, Device::kCpu), index = Tensor::like(t);
  for (int32_t i = 0; i < 4; ++i) {
    next_timestep(steps({9, 4, 0}), counter, index, t);
    EXPECT_EQ(index.to_host<int32_t>(), std::vector<int32_t>(3, std::min(i, 2)));
    EXPECT_EQ(t.to_host<int32_t>(), std::vector<int32_t>(3, (std::vector{9, 4, 0, 0})[i]));
  }
  EXPECT_EQ(counter.to_host<int64_t>(), (std::vector<int64_t>{4, 7}));
}

TEST(NextTimestep, ReadsWhatLiesBetweenTimestepsToo) {
  Tensor counter = Tensor::from_host<int64_t>({1, 0}, {2}, Device::kCpu);
  Tensor t = Tensor::zeros({2}, DType::kF64, Device::kCpu);
  Tensor index = Tensor::zeros({2}, DType::kI32, Device::kCpu);
  next_timestep(Tensor::from_host<double>({9, 4.25}, {2}, Device::kCpu), counter, index, t);
  EXPECT_EQ(t.to_host<double>(), std::vector<double>(2, 4.25));
  EXPECT_THROW(next_timestep(steps({9}), counter, index, t), UserError) << "t is f64";
}

TEST(TimestepEmbedding, TakesRealTimesteps) {
  const Tensor real = Tensor::from_host<double>({7, 7.5}, {2}, Device::kCpu);
  const std::vector<double> y = timestep_embedding(real, 8, DType::kF64).to_host<double>();
  const std::vector<double> whole =
      timestep_embedding(steps({7}), 8, DType::kF64).to_host<double>();
  EXPECT_EQ(std::vector<double>(y.begin(), y.begin() + 8), whole) << "the same bits";
  EXPECT_NEAR(y[8], std::sin(7.5), 1e-15);
}

TEST(TimestepSum, ReadsNoTermWhoseCoefficientIsZero) {
  const Tensor table = Tensor::from_host<double>({1, 2, 3, 0}, {2, 2}, Device::kCpu);
  const Tensor u = Tensor::from_host<double>({5, 6}, {2, 1}, Device::kCpu);
  const Tensor v = Tensor::from_host<double>({7, NAN}, {2, 1}, Device::kCpu);
  EXPECT_EQ(timestep_sum(table, {u, v}, steps({0, 1})).to_host<double>(),
            (std::vector<double>{5 + 14, 18}));
}

}  // namespace
}  // namespace ddpm
