#include "framework/cpu/parallel.h"

#include <gtest/gtest.h>

#include <vector>

namespace ddpm::cpu {
namespace {

TEST(ParallelFor, VisitsEveryPieceOnce) {
  const int before = thread_count();
  for (int threads : {1, 2, 5}) {
    set_thread_count(threads);
    std::vector<int> visits(1000);
    parallel_for(1000, [&](int64_t i) { ++visits[static_cast<size_t>(i)]; });
    EXPECT_EQ(visits, std::vector<int>(1000, 1)) << threads;
  }
  set_thread_count(before);
}

TEST(ParallelFor, InnerCallsRunInPlace) {
  std::vector<int> visits(64);
  parallel_for(8, [&](int64_t i) {
    parallel_for(8, [&](int64_t j) { ++visits[static_cast<size_t>(8 * i + j)]; });
  });
  EXPECT_EQ(visits, std::vector<int>(64, 1));
}

TEST(ParallelRanges, CoverTheRangeWithoutOverlap) {
  std::vector<int> visits(1003);
  parallel_ranges(1003, 100, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  EXPECT_EQ(visits, std::vector<int>(1003, 1));
}

}  // namespace
}  // namespace ddpm::cpu
