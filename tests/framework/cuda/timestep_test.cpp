// What framework/ops/timestep.h computes without gradients, on rows of many lengths.
#include "framework/ops/timestep.h"

#include <gtest/gtest.h>

#include "framework/random/random.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

using CudaTimestep = Cuda;

template <class T>
Tensor tensor(const char* name, Shape shape, Device device) {
  const OpCase values{.name = name, .inputs = {{shape}}, .run = {}};
  return make_inputs(values, dtype_of<T>, device)[0].detach();
}

template <class T, class F>
void expect_same(F f, T tolerance) {
  const std::vector<T> actual = f(Device::kCuda).template to_host<T>();
  const std::vector<T> expected = f(Device::kCpu).template to_host<T>();
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], tolerance) << i;
}

TEST_F(CudaTimestep, EmbeddingsAreThoseOfTheCpu) {
  const auto embed = [](Device device, DType dtype) {
    const Tensor t = Tensor::from_host<int32_t>({0, 1, 999, 3999}, {4}, device);
    return timestep_embedding(t, 129, dtype);
  };
  expect_same<float>([&](Device d) { return embed(d, DType::kF32); }, 6e-8f);  // half an ulp of 1
  const std::vector<float> exact = embed(Device::kCpu, DType::kF32).to_host<float>();
  for (const Device device : {Device::kCpu, Device::kCuda}) {
    const std::vector<bf16> rounded = embed(device, DType::kBf16).to_host<bf16>();
    ASSERT_EQ(rounded.size(), exact.size());
    for (size_t i = 0; i < exact.size(); ++i)
      ASSERT_NEAR(rounded[i], exact[i], 0x1p-9) << name_of(device);  // half an ulp of bf16 below 1
  }
}

TEST_F(CudaTimestep, EmbeddingsOfRealTimestepsAreThoseOfTheCpu) {
  const auto embed = [](Device device) {
    const Tensor timesteps = Tensor::from_host<double>({0.25, 998.75}, {2}, device);
    Tensor counter = random_counter(1, 0, device), index = Tensor::zeros({2}, DType::kI32, device);
    Tensor t = Tensor::zeros({2}, DType::kF64, device);
    next_timestep(timesteps, counter, index, t);
    return timestep_embedding(t, 129, DType::kF32);
  };
  expect_same<float>(embed, 6e-8f);  // half an ulp of 1
}

// Rows of packs and of single elements, one and several blocks long.
TEST_F(CudaTimestep, RowsAreCutIntoBlocks) {
  for (const int64_t columns : {1, 7, 8, 300, 1028}) {
    const auto table = [](Device device) { return tensor<float>("table", {4}, device); };
    const auto t = [](Device device) { return Tensor::from_host<int32_t>({3, 0, 2}, {3}, device); };
    const auto rows = [&](const char* name, Device device) {
      return tensor<float>(name, {3, columns}, device);
    };
    // Products and sums may be contracted on one side only: an ulp of values below 4.
    const float tolerance = 5e-7f;
    expect_same<float>(
        [&](Device d) {
          return timestep_mix(table(d), rows("u", d), table(d), rows("v", d), t(d));
        },
        tolerance);
    const auto real = [](Device device) {
      return Tensor::from_host<double>({2.75, 0, 1.5}, {3}, device);
    };
    expect_same<float>(
        [&](Device d) {
          return timestep_mix(table(d), rows("u", d), table(d), rows("v", d), real(d));
        },
        tolerance);
    expect_same<float>([&](Device d) { return timestep_fill(table(d), t(d), {3, columns}); }, 0);
    expect_same<float>(
        [&](Device d) { return where_first_timestep(t(d), rows("u", d), rows("v", d)); }, 0);
    expect_same<float>(
        [&](Device d) {
          return ancestral_step(rows("mean", d), rows("lv", d), rows("noise", d), t(d));
        },
        tolerance);
  }
}

TEST_F(CudaTimestep, NextTimestepWalksTheListAndStaysAtItsEnd) {
  const Tensor timesteps = Tensor::from_host<int32_t>({9, 4, 0}, {3}, Device::kCuda);
  Tensor counter = Tensor::from_host<int64_t>({0, 7}, {2}, Device::kCuda);
  Tensor t = Tensor::zeros({300}, DType::kI32, Device::kCuda), index = Tensor::like(t);
  for (int32_t i = 0; i < 4; ++i) {
    next_timestep(timesteps, counter, index, t);
    EXPECT_EQ(index.to_host<int32_t>(), std::vector<int32_t>(300, std::min(i, 2)));
    EXPECT_EQ(t.to_host<int32_t>(), std::vector<int32_t>(300, (std::vector{9, 4, 0, 0})[i]));
  }
  EXPECT_EQ(counter.to_host<int64_t>(), (std::vector<int64_t>{4, 7}));
}

}  // namespace
}  // namespace ddpm::testing
