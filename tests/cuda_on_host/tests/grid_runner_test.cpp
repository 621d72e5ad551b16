// The stand-in for CUDA itself: barriers, warps, shared memory, and what it says about kernels that
// break the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "framework/cuda/block_reduce.cuh"
#include "framework/cuda/launch.cuh"

namespace ddpm::cuda {
namespace {

using ::testing::HasSubstr;

__global__ void reverse_kernel(const int* x, int* y) {
  int* shared = dynamic_shared<int>();
  const unsigned i = threadIdx.y * blockDim.x + threadIdx.x, n = blockDim.x * blockDim.y;
  const unsigned first = (blockIdx.y * gridDim.x + blockIdx.x) * n;
  shared[i] = x[first + i];
  __syncthreads();
  y[first + i] = shared[n - 1 - i];
}

TEST(GridRunner, ThreadsOfABlockMeetAtBarriers) {
  const dim3 grid(2, 3), block(5, 7);
  std::vector<int> x(2 * 3 * 35), y(x.size());
  std::iota(x.begin(), x.end(), 0);
  launch(reverse_kernel, grid, block, 35 * sizeof(int), x.data(), y.data());
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(y[i], x[i / 35 * 35 + 34 - i % 35]) << "element " << i;
}

__global__ void block_sum_kernel(const double* x, double* y) {
  for (int pass = 0; pass < 3; ++pass) y[3 * threadIdx.x + pass] = block_sum(x[threadIdx.x] + pass);
}

TEST(GridRunner, BlockReductionsGiveEveryThreadTheSum) {
  for (const int n : {32, 96, 1024}) {
    std::vector<double> x(static_cast<size_t>(n)), y(3 * x.size());
    std::iota(x.begin(), x.end(), 1);
    launch(block_sum_kernel, 1, static_cast<unsigned>(n), 0, x.data(), y.data());
    const double sum = n * (n + 1) / 2.0;
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], sum + static_cast<double>(i % 3) * n);
  }
}

__global__ void warp_kernel(int* down, int* up, int* from, unsigned* votes) {
  const int i = static_cast<int>(threadIdx.x), lane = i % 32;
  const unsigned mask =
      blockDim.x - threadIdx.x / 32 * 32 >= 32 ? 0xffffffffu : (1u << blockDim.x % 32) - 1;
  down[i] = lane + 3 < __builtin_popcount(mask) ? __shfl_down_sync(mask, i, 3)
                                                : __shfl_down_sync(mask, i, 32);
  up[i] = __shfl_up_sync(mask, i, 2);
  from[i] = __shfl_sync(mask, i, 1);
  votes[i] = __ballot_sync(mask, lane % 3 == 0);
}

TEST(GridRunner, WarpsExchangeValues) {
  constexpr int kCount = 32 + 8;  // the last warp is not full
  std::vector<int> down(kCount), up(kCount), from(kCount);
  std::vector<unsigned> votes(kCount);
  launch(warp_kernel, 1, kCount, 0, down.data(), up.data(), from.data(), votes.data());
  for (int i = 0; i < kCount; ++i) {
    const int lane = i % 32, lanes = i < 32 ? 32 : 8;
    const size_t k = static_cast<size_t>(i);
    EXPECT_EQ(down[k], lane + 3 < lanes ? i + 3 : i);
    EXPECT_EQ(up[k], lane >= 2 ? i - 2 : i);
    EXPECT_EQ(from[k], i / 32 * 32 + 1);
    EXPECT_EQ(votes[k], i < 32 ? 0x49249249u : 0x49u);
  }
}

template <class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

__global__ void fault_kernel(int kind) {
  const bool odd_one = blockIdx.x == 1 && threadIdx.x == 33;
  if (kind == 0 && odd_one) __syncwarp();
  if (kind == 0 && !odd_one) __syncthreads();
  if (kind == 1 && odd_one) __syncwarp(1);
  if (kind == 2 && odd_one) __shfl_sync(2u, 0, 5);
  if (kind == 3 && odd_one) dynamic_shared<char>()[16] = 1;
}

TEST(GridRunner, ErrorsNameTheLaunchTheBlockAndTheThread) {
  const auto error = [](int kind) {
    return error_of([&] { launch(fault_kernel, 2, 64, 16, kind); });
  };
  EXPECT_THAT(error(0), HasSubstr("block (1, 0, 0), thread (0, 0, 0): waits at a barrier"));
  EXPECT_THAT(error(0), HasSubstr("grid_runner_test.cpp"));
  EXPECT_THAT(error(1), HasSubstr("block (1, 0, 0), thread (33, 0, 0): calls a warp function"));
  EXPECT_THAT(error(2), HasSubstr("thread (33, 0, 0): reads lane 5, which takes no part"));
  EXPECT_THAT(error(3), HasSubstr("wrote past its 16 bytes of dynamic shared memory"));
  EXPECT_EQ(error(4), "no error");  // the runner is as good as new
}

__global__ void read_shared_kernel(float* y) { y[0] = dynamic_shared<float>()[threadIdx.x]; }

TEST(GridRunner, DynamicSharedMemoryIsPoisonedBeforeEveryBlock) {
  float y = 0;
  launch(read_shared_kernel, 1, 1, 4, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST(GridRunner, LaunchesThatAGpuRefusesAreRefused) {
  float y = 0;
  const auto error = [&](dim3 grid, unsigned threads, size_t shared) {
    return error_of([&] { launch(read_shared_kernel, grid, threads, shared, &y); });
  };
  EXPECT_EQ(error({1, 1}, 1024, 4096), "no error");
  EXPECT_THAT(error({1, 1}, 1025, 4096), HasSubstr("invalid configuration"));
  EXPECT_THAT(error({1, 65536}, 32, 4096), HasSubstr("invalid configuration"));
  EXPECT_EQ(error({1, 1}, 32, 200 << 10), "no error");  // launch() asks for it
  EXPECT_THAT(error({1, 1}, 32, 300 << 10), HasSubstr("cudaFuncSetAttribute"));
  EXPECT_EQ(error({0, 1}, 32, 4096), "no error");  // nothing to do
}

}  // namespace
}  // namespace ddpm::cuda
