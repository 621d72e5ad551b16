#include "framework/autograd/tape.h"

#include <gtest/gtest.h>

#include "framework/core/pool.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"

namespace ddpm {
namespace {

Tensor leaf(double value) {
  return full({3}, value, DType::kF64, Device::kCpu).set_requires_grad(true);
}

TEST(Tape, AddsContributionsOfSeveralUses) {
  const Tensor x = leaf(3);
  Tape tape;
  tape.backward(sum(add(multiply(x, x), x)));  // d/dx (x^2 + x) = 2 x + 1
  EXPECT_EQ(x.grad().to_host<double>(), std::vector<double>(3, 7));
}

TEST(Tape, RecordsNothingWithoutATapeOrWithoutNeed) {
  const Tensor x = leaf(1);
  EXPECT_FALSE(add(x, x).requires_grad());
  Tape tape;
  EXPECT_FALSE(add(x.detach(), x.detach()).requires_grad());
  EXPECT_TRUE(add(x, x).requires_grad());
}

TEST(Tape, BoundGradientsEndInTheirBuffer) {
  const Tensor x = leaf(2);
  const Tensor buffer = Tensor::zeros({3}, DType::kF64, Device::kCpu);
  x.slot()->bound = buffer;
  {
    Tape tape;
    tape.backward(sum(multiply(x, x)));
  }
  EXPECT_EQ(buffer.to_host<double>(), std::vector<double>(3, 4));
  EXPECT_TRUE(x.grad().shares_storage(buffer));
}

TEST(Tape, ASharedGradientIsNotUpdatedInPlace) {
  // add hands one dy to both inputs; a second use of `a` must not change what b received.
  const Tensor a = leaf(1), b = leaf(1);
  Tape tape;
  tape.backward(sum(add(add(a, b), a)));
  EXPECT_EQ(a.grad().to_host<double>(), std::vector<double>(3, 2));
  EXPECT_EQ(b.grad().to_host<double>(), std::vector<double>(3, 1));
}

TEST(Tape, FreesValuesThatBackwardDoesNotNeed) {
  const auto pool = Pool::create(Device::kCpu);
  PoolScope scope(pool);
  const Tensor x = leaf(1);
  const size_t before = pool->bytes_in_use();
  Tape tape;
  Tensor h = x;
  for (int i = 0; i < 50; ++i) h = add(h, x);
  // Only the last sum is alive: add captures slots, not values.
  EXPECT_EQ(pool->bytes_in_use(), before + 256);
}

TEST(Tape, BackwardWantsAScalar) {
  const Tensor x = leaf(1);
  Tape tape;
  EXPECT_THROW(tape.backward(add(x, x)), UserError);
}

}  // namespace
}  // namespace ddpm
