// Tensor, Shape and Pool.
#include "framework/core/pool.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

TEST(Shape, SpeaksInMessages) {
  EXPECT_EQ((Shape{2, 3, 4}).str(), "(2, 3, 4)");
  EXPECT_EQ((Shape{2, 3, 4}).numel(), 24);
  EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
  EXPECT_THROW((Shape{1, -1}), UserError);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1}), UserError);
}

TEST(Tensor, ViewsShareStorage) {
  const Tensor t = Tensor::from_host<float>({0, 1, 2, 3, 4, 5}, {3, 2}, Device::kCpu);
  EXPECT_EQ(t.slice(1, 3).to_host<float>(), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(t.reshape({2, 3}).shape(), (Shape{2, 3}));
  t.slice(2, 3).data<float>()[0] = 9;
  EXPECT_EQ(t.data<float>()[4], 9);
  EXPECT_THROW(t.reshape({5}), UserError);
  EXPECT_THROW(t.slice(2, 4), UserError);
  EXPECT_THROW(t.data<double>(), Error);
}

TEST(Pool, ReusesBlocksOfASizeClass) {
  const auto pool = Pool::create(Device::kCpu);
  const std::byte* first = pool->allocate(1000).get();
  EXPECT_EQ(pool->bytes_in_use(), 0u);
  EXPECT_EQ(pool->allocate(900).get(), first);  // the same 1024-byte class
  EXPECT_EQ(pool->bytes_reserved(), 1024u);
  EXPECT_EQ(pool->peak_bytes_in_use(), 1024u);
}

TEST(Pool, FrozenMissIsAnError) {
  const auto pool = Pool::create(Device::kCpu);
  { const Storage block = pool->allocate(256); }
  pool->freeze();
  EXPECT_NO_THROW(pool->allocate(256));
  EXPECT_THROW(pool->allocate(512), Error);
}

TEST(Pool, ScopesNest) {
  const auto outer = Pool::create(Device::kCpu), inner = Pool::create(Device::kCpu);
  PoolScope a(outer);
  {
    PoolScope b(inner);
    EXPECT_EQ(current_pool(Device::kCpu), inner);
  }
  EXPECT_EQ(current_pool(Device::kCpu), outer);
}

TEST(PoolDeathTest, GuardsCatchAWriteBehindATensor) {
  const auto overrun = [] {
    const auto pool = Pool::create(Device::kCpu);
    pool->use_guards();
    const Storage block = pool->allocate(100);
    block.get()[100] = std::byte{0};
  };
  EXPECT_DEATH(overrun(), "wrote past the end of its 100-byte tensor");
}

}  // namespace
}  // namespace ddpm
