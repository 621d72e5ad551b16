// The draws of the CUDA backend are those of the CPU, to the last bit.
#include "framework/random/random.h"

#include <gtest/gtest.h>

#include "framework/ops/dropout.h"
#include "framework/ops/elementwise.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

using CudaRandom = Cuda;

// Rows that fill packs, that end in the middle of a counter, and that end in the middle of a pack.
const std::vector<Shape> kShapes = {{3, 64}, {2, 5, 7, 3}, {4, 6}, {1, 1}, {5}};

template <class T, class Fill>
void expect_same_bits(Fill fill) {
  for (const Shape& shape : kShapes) {
    const auto draw = [&](Device device) {
      const RandomStream stream{0x123456789abcdef, random_site("test"),
                                random_counter(41, 1000, device)};
      Tensor y = Tensor::empty(shape, dtype_of<T>, device);
      fill(stream, y);
      return y.to_host<T>();
    };
    EXPECT_EQ(draw(Device::kCuda), draw(Device::kCpu)) << shape.str();
  }
}

TEST_F(CudaRandom, NormalsHaveTheSameBits) {
  expect_same_bits<float>(fill_normal);
  expect_same_bits<double>(fill_normal);
}

TEST_F(CudaRandom, UniformsHaveTheSameBits) {
  const auto fill = [](const RandomStream& stream, Tensor& y) {
    fill_uniform(stream, -0.3, 1.7, y);
  };
  expect_same_bits<float>(fill);
  expect_same_bits<double>(fill);
}

TEST_F(CudaRandom, IntegersAndEpochsAreTheSame) {
  for (const int64_t n : {1, 37, 300}) {
    const auto draw = [&](Device device, auto fill) {
      const RandomStream stream{7, random_site("indices"), random_counter(3, 11, device)};
      Tensor y = Tensor::empty({n}, DType::kI32, device);
      fill(stream, 100, y);
      return y.to_host<int32_t>();
    };
    EXPECT_EQ(draw(Device::kCuda, fill_randint), draw(Device::kCpu, fill_randint));
    EXPECT_EQ(draw(Device::kCuda, fill_epoch_indices), draw(Device::kCpu, fill_epoch_indices));
  }
}

TEST_F(CudaRandom, DropoutMasksAreTheSame) {
  for (const Shape& shape : kShapes) {
    const auto drop = [&](Device device, DType dtype) {
      const RandomStream stream{5, random_site("dropout"), random_counter(2, 0, device)};
      return cast(dropout(full(shape, 1.5, dtype, device), 0.4, stream), DType::kF32)
          .to_host<float>();  // 2.5 or 0
    };
    const auto expected = drop(Device::kCpu, DType::kF32);
    for (const DType dtype : {DType::kF32, DType::kBf16})
      EXPECT_EQ(drop(Device::kCuda, dtype), expected) << shape.str() << ' ' << name_of(dtype);
  }
}

}  // namespace
}  // namespace ddpm::testing
