// The stand-in for the engines of Hopper: what a copy leaves in shared memory, what the tensor
// cores read there, and that whoever breaks the rules gets an error or numbers that are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "framework/cuda/launch.cuh"
#include "framework/cuda/tma.cuh"
#include "framework/cuda/wgmma.cuh"

namespace ddpm::cuda {
namespace {

using ::testing::HasSubstr;

struct Shared {
  bf16* panel(int i) const { return dynamic_shared<bf16>() + i * kPanelBytes / 2; }
  uint64_t* barrier() const { return reinterpret_cast<uint64_t*>(panel(4)); }
  static constexpr size_t kBytes = 4 * kPanelBytes + 64;
};

template <class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Copies one box of 64 x 4 x 4 x 4 and gives its 64 lines as they lie in shared memory.
__global__ void copy_kernel(const CUtensorMap map, int x, int y, int n, bf16* lines) {
  const Shared shared;
  mbarrier_init(shared.barrier(), 1);
  mbarrier_arrive_expect_bytes(shared.barrier(), kPanelBytes);
  tma_load(shared.panel(0), &map, shared.barrier(), 0, x, y, n);
  mbarrier_wait(shared.barrier(), 0);
  std::copy_n(shared.panel(0), kPanelBytes / 2, lines);
}

TEST(Tma, SwizzlesChunksAndFillsWithZeros) {
  // The first element of each chunk of 8 says which chunk of which pixel it is.
  std::vector<bf16> x(3 * 4 * 4 * 64, bf16(0)), lines(64 * 64);
  for (size_t chunk = 0; chunk < x.size() / 8; ++chunk)
    x[chunk * 8].bits = static_cast<uint16_t>(chunk + 1);
  const CUtensorMap map = make_tensor_map(x.data(), {64, 4, 4, 3}, {64, 4, 4, 4});
  launch(copy_kernel, 1, 1, Shared::kBytes, map, -1, 1, 0, lines.data());
  for (int line = 0; line < 64; ++line)
    for (int chunk = 0; chunk < 8; ++chunk) {
      const int image = line / 16, i = line / 4 % 4 + 1, j = line % 4 - 1;
      const bool exists = image < 3 && i < 4 && j >= 0;
      const int pixel = (image * 4 + i) * 4 + j, at = line * 64 + (chunk ^ line % 8) * 8;
      ASSERT_EQ(lines[static_cast<size_t>(at)].bits, exists ? pixel * 8 + chunk + 1 : 0)
          << "line " << line << ", chunk " << chunk;
    }
}

// A plain loop over the box: what lies between the steps is skipped, and what lies outside is zero
// at either end.
TEST(Tma, TakesPixelsInSteps) {
  constexpr int kWidth = 7, kHeight = 10, kImages = 3;
  std::vector<bf16> x(kImages * kHeight * kWidth * 64), lines(64 * 64);
  for (size_t i = 0; i < x.size(); ++i) x[i].bits = static_cast<uint16_t>(i + 1);
  const auto expect_box = [&](int step_x, int step_y, int step_n, int x0, int y0, int n0) {
    const CUtensorMap map = make_tensor_map(x.data(), {64, kWidth, kHeight, kImages}, {64, 4, 4, 4},
                                            {1, step_x, step_y, step_n});
    launch(copy_kernel, 1, 1, Shared::kBytes, map, x0, y0, n0, lines.data());
    size_t line = 0;
    for (int n = n0; n < n0 + 4 * step_n; n += step_n)
      for (int i = y0; i < y0 + 4 * step_y; i += step_y)
        for (int j = x0; j < x0 + 4 * step_x; j += step_x, ++line)
          for (size_t c = 0; c < 64; ++c) {
            const bool exists =
                n >= 0 && n < kImages && i >= 0 && i < kHeight && j >= 0 && j < kWidth;
            const int element = ((n * kHeight + i) * kWidth + j) * 64 + static_cast<int>(c) + 1;
            ASSERT_EQ(lines[line * 64 + (c / 8 ^ line % 8) * 8 + c % 8].bits, exists ? element : 0)
                << "pixel (" << n << ", " << i << ", " << j << "), channel " << c;
          }
  };
  for (int start : {-9, -2, -1, 0, 1, 2, 5, 12}) {
    expect_box(2, 2, 1, start, 0, 0);
    expect_box(2, 2, 1, 0, start, 0);
    expect_box(2, 2, 1, start, start, -1);
  }
  expect_box(1, 1, 1, -1, -1, 0);
  expect_box(3, 2, 1, -1, 1, 0);
  expect_box(1, 2, 2, 2, -3, -2);
}

TEST(Tma, RefusesMapsThatTheDriverRefuses) {
  alignas(16) static bf16 x[4096];
  const auto error = [](const bf16* from, int64_t channels, int width, int step = 1) {
    return error_of([=] {
      make_tensor_map(from, {channels, 4, 4, 1}, {width, 4, 4, 1}, {1, step, 1, 1});
    });
  };
  EXPECT_EQ(error(x, 64, 64), "no error");
  EXPECT_EQ(error(x, 64, 64, 8), "no error");
  EXPECT_THAT(error(x, 64, 64, 9), HasSubstr("error 1"));
  EXPECT_THAT(error(x, 64, 64, 0), HasSubstr("error 1"));
  EXPECT_THAT(error(x + 4, 64, 64), HasSubstr("error 1"));  // 8 bytes off
  EXPECT_THAT(error(x, 60, 60), HasSubstr("error 1"));      // lines of 120 bytes
  EXPECT_THAT(error(x, 128, 128), HasSubstr("error 1"));    // wider than the swizzle
}

// D = A B with operand panels that hold A[i][k] = matrix(i, k) and B[k][j] alike, written by hand.
template <Major kMajorA, Major kMajorB>
__global__ void product_kernel(float* d) {
  const Shared shared;
  const auto put = [](bf16* panel, int line, int i, float value) {
    panel[line * 64 + (i / 8 ^ line % 8) * 8 + i % 8] = bf16(value);
  };
  if (threadIdx.x == 0)
    for (int mn = 0; mn < 128; ++mn)
      for (int k = 0; k < 64; ++k) {
        const float a = static_cast<float>((mn * 5 + k * 3) % 7 - 3);
        const float b = static_cast<float>((mn * 2 + k * 11) % 9 - 4);
        if (mn < 64)
          put(shared.panel(0), kMajorA == Major::kK ? mn : k, kMajorA == Major::kK ? k : mn, a);
        put(shared.panel(1 + mn / 64), kMajorB == Major::kK ? mn % 64 : k,
            kMajorB == Major::kK ? k : mn % 64, b);
      }
  __syncthreads();
  const uint64_t a = wgmma_descriptor<kMajorA>(shared.panel(0));
  const uint64_t b = wgmma_descriptor<kMajorB>(shared.panel(1));
  float sums[64];
  wgmma_fence();
  for (uint64_t k = 0; k < 4; ++k)
    wgmma<128, kMajorA, kMajorB>(sums, a + k * kWgmmaDepthStep<kMajorA>,
                                 b + k * kWgmmaDepthStep<kMajorB>, k > 0);
  wgmma_commit();
  wgmma_wait<0>();
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 64; ++i) {
    const int row = 16 * (thread / 32) + thread % 32 / 4 + i / 2 % 2 * 8;
    d[row * 128 + i / 4 * 8 + thread % 4 * 2 + i % 2] = sums[i];
  }
}

TEST(Wgmma, ReadsPanelsOfEitherMajor) {
  std::vector<float> d(64 * 128);
  const auto expect_product = [&] {
    for (int i = 0; i < 64; ++i)
      for (int j = 0; j < 128; ++j) {
        int sum = 0;
        for (int k = 0; k < 64; ++k) sum += ((i * 5 + k * 3) % 7 - 3) * ((j * 2 + k * 11) % 9 - 4);
        ASSERT_EQ(d[static_cast<size_t>(i * 128 + j)], static_cast<float>(sum)) << i << ", " << j;
      }
  };
  launch(product_kernel<Major::kK, Major::kK>, 1, 128, Shared::kBytes, d.data());
  expect_product();
  launch(product_kernel<Major::kK, Major::kMN>, 1, 128, Shared::kBytes, d.data());
  expect_product();
  launch(product_kernel<Major::kMN, Major::kMN>, 1, 128, Shared::kBytes, d.data());
  expect_product();
}

enum class Fault {
  kNone,
  kReadsBeforeTheCopyArrives,
  kReadsBeforeTheWait,
  kFreesTheStageTooSoon,
  kNoFence,
  kNoBarrier,
  kWaitsForever,
  kWritesBehindTheEnd
};

// y = the first sum of a panel of ones times itself, that is 64, unless something is wrong.
__global__ void fault_kernel(const CUtensorMap map, Fault fault, float* y) {
  const Shared shared;
  uint64_t* const barrier = shared.barrier();
  if (threadIdx.x == 0) {
    if (fault != Fault::kNoBarrier) mbarrier_init(barrier, 1);
    mbarrier_arrive_expect_bytes(barrier, fault == Fault::kWaitsForever ? 16384 : kPanelBytes);
    tma_load(shared.panel(fault == Fault::kWritesBehindTheEnd ? 4 : 0), &map, barrier, 0, 0, 0, 0);
  }
  __syncthreads();
  if (fault != Fault::kReadsBeforeTheCopyArrives) mbarrier_wait(barrier, 0);
  const uint64_t panel = wgmma_descriptor<Major::kK>(shared.panel(0));
  float sums[64] = {};
  if (fault != Fault::kNoFence) wgmma_fence();
  for (uint64_t k = 0; k < 4; ++k)  // two panels of columns: reads no more than the first two
    wgmma<128, Major::kK, Major::kK>(sums, panel + 2 * k, panel + 2 * k, k > 0);
  wgmma_commit();
  if (fault == Fault::kReadsBeforeTheWait && threadIdx.x == 0) *y = sums[0];
  if (fault == Fault::kFreesTheStageTooSoon && threadIdx.x == 0)
    tma_load(shared.panel(0), &map, barrier, 0, 0, 0, 0);
  wgmma_wait<0>();
  if (fault != Fault::kReadsBeforeTheWait && threadIdx.x == 0) *y = sums[0];
}

TEST(Wgmma, FaultsShow) {
  const std::vector<bf16> ones(4096, bf16(1));
  const CUtensorMap map = make_tensor_map(ones.data(), {64, 64, 1, 1}, {64, 64, 1, 1});
  float y = 0;
  const auto error = [&](Fault fault) {
    return error_of([&] { launch(fault_kernel, 1, 128, Shared::kBytes, map, fault, &y); });
  };
  EXPECT_EQ(error(Fault::kNone), "no error");
  EXPECT_EQ(y, 64);
  EXPECT_EQ(error(Fault::kReadsBeforeTheCopyArrives), "no error");
  EXPECT_TRUE(std::isnan(y)) << y;
  EXPECT_EQ(error(Fault::kReadsBeforeTheWait), "no error");
  EXPECT_NE(y, 64);
  EXPECT_EQ(error(Fault::kFreesTheStageTooSoon), "no error");
  EXPECT_TRUE(std::isnan(y)) << y;
  EXPECT_THAT(error(Fault::kNoFence), HasSubstr("wgmma without a fence"));
  EXPECT_THAT(error(Fault::kNoBarrier), HasSubstr("an mbarrier that nobody initialised"));
  EXPECT_THAT(error(Fault::kWaitsForever), HasSubstr("waits for something that never happens"));
  EXPECT_THAT(error(Fault::kWritesBehindTheEnd), HasSubstr("reaches address"));
  EXPECT_EQ(error(Fault::kNone), "no error");
}

}  // namespace
}  // namespace ddpm::cuda
