// Attention at inference, where no op case runs it: the weights are scratch.
#include "framework/ops/attention.h"

#include <gtest/gtest.h>

#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

using CudaAttention = Cuda;

TEST_F(CudaAttention, NeedsNoTape) {
  const Shape s{3, 36, 12};
  const OpCase values{
      .name = "query, key, value", .inputs = {{s, -3, 3}, {s, -3, 3}, {s}}, .run = {}};
  for (const int heads : {1, 3}) {
    const auto run = [&](Device device) {
      const Tensors in = make_inputs(values, DType::kF64, device);
      return attention(in[0], in[1], in[2], heads).to_host<double>();
    };
    const auto actual = run(Device::kCuda), expected = run(Device::kCpu);
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], 1e-14) << heads << " heads, element " << i;
  }
}

}  // namespace
}  // namespace ddpm::testing
