// Reductions of sizes that the op cases, which finite differences check, cannot have.
#include "framework/ops/reduce.h"

#include <gtest/gtest.h>

#include <numeric>

#include "framework/core/pool.h"
#include "framework/ops/image_batch.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

using CudaReduce = Cuda;

// Integers that bf16 holds, below 2^24 in all partial sums: any order of adding them gives the
// exact result.
template <class T>
std::vector<T> small_integers(int64_t n) {
  std::vector<T> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7 % 11) - 4;
  return values;
}

TEST_F(CudaReduce, SumsOfLongRowsAreCutIntoChunks) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 16384},
                                      {1, 16385},
                                      {3, 40000},
                                      {2, 16384 * 3 + 4},
                                      {300, 7}}) {
    const std::vector<float> x = small_integers<float>(rows * columns);
    Tensor y = Tensor::empty({rows}, DType::kF32, Device::kCuda);
    cuda::row_sum_forward(Tensor::from_host(x, {rows, columns}, Device::kCuda), rows, 0.5, y);
    std::vector<float> expected;
    for (int64_t i = 0; i < rows; ++i)
      expected.push_back(
          0.5f * std::accumulate(x.begin() + i * columns, x.begin() + (i + 1) * columns, 0.0f));
    EXPECT_EQ(y.to_host<float>(), expected) << rows << " rows of " << columns;
  }
}

template <class T>
void expect_exact_column_sums() {
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{1, 3}, {20000, 3}, {5000, 8}, {100, 1024}, {0, 5}}) {
    const std::vector<T> x = small_integers<T>(rows * columns);
    std::vector<float> expected(static_cast<size_t>(columns));
    for (size_t i = 0; i < x.size(); ++i) expected[i % expected.size()] += x[i];
    for (const Device device : {Device::kCpu, Device::kCuda}) {
      Tensor y = Tensor::empty({columns}, DType::kF32, device);
      DDPM_DISPATCH(device, column_sum(Tensor::from_host(x, {rows, columns}, device), columns, y));
      EXPECT_EQ(y.to_host<float>(), expected)
          << rows << " rows of " << columns << " on " << name_of(device);
    }
  }
}

TEST_F(CudaReduce, ColumnSumsOfManyRows) {
  expect_exact_column_sums<float>();
  expect_exact_column_sums<bf16>();
}

// Several blocks along the positions, several along the channels, with packs and without.
template <class T>
void expect_exact_position_sums() {
  for (const Shape& shape :
       {Shape{2, 30, 129}, Shape{2, 26, 516}, Shape{3, 70, 64}, Shape{1, 5000, 8}}) {
    const std::vector<T> x = small_integers<T>(shape.numel());
    std::vector<float> expected(static_cast<size_t>(shape[0] * shape[2]));
    for (int64_t i = 0; i < shape.numel(); ++i)
      expected[static_cast<size_t>(i / (shape[1] * shape[2]) * shape[2] + i % shape[2])] +=
          2 * x[static_cast<size_t>(i)];
    for (const Device device : {Device::kCpu, Device::kCuda}) {
      Tensor y = Tensor::empty({shape[0], shape[2]}, DType::kF32, device);
      DDPM_DISPATCH(device, position_sum_forward(Tensor::from_host(x, shape, device), 2, y));
      EXPECT_EQ(y.to_host<float>(), expected) << shape[1] << " positions, " << name_of(device);
    }
  }
}

TEST_F(CudaReduce, PositionSumsOfManyPositions) {
  expect_exact_position_sums<float>();
  expect_exact_position_sums<bf16>();
}

TEST_F(CudaReduce, GatheredImagesAreThoseOfTheCpu) {
  std::vector<uint8_t> pixels(4 * 5 * 6 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  const auto gather = [&](Device device, bool flips, DType dtype) {
    const Tensor images = Tensor::from_host(pixels, {4, 5, 6, 3}, device);
    const Tensor indices = Tensor::from_host<int32_t>({2, 0, 2, 3, 1}, {5}, device);
    const Tensor flip = flips ? Tensor::from_host<int32_t>({0, 1, 1, 0, 1}, {5}, device) : Tensor();
    const Tensor labels = Tensor::from_host<int32_t>({9, 8, 7, 6}, {4}, device);
    EXPECT_EQ(gather_labels(labels, indices).to_host<int32_t>(),
              (std::vector<int32_t>{7, 9, 7, 6, 8}));
    const Tensor y = gather_images(images, indices, flip, 256, dtype);
    if (dtype == DType::kF64) return y.to_host<double>();
    const std::vector<float> values = y.to_host<float>();
    return std::vector<double>(values.begin(), values.end());
  };
  for (const bool flips : {false, true})
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      const auto actual = gather(Device::kCuda, flips, dtype);
      const auto expected = gather(Device::kCpu, flips, dtype);
      ASSERT_EQ(actual.size(), expected.size());
      // p * step - 1 may be rounded once or twice: near 1, a unit in the last place is 1.2e-7.
      for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 1.3e-7);
    }
}

TEST_F(CudaReduce, OutOfMemorySaysHowMuchWasAskedFor) {
  const auto pool = Pool::create(Device::kCuda);
  try {
    pool->allocate(size_t{1} << 50);
    FAIL() << "a petabyte was allocated";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1024 TiB were asked for"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace ddpm::testing
