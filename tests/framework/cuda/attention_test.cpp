// Attention without a tape, and of batches whose scores do not fit into the scratch at once: sizes
// that the op cases, which finite differences check, cannot have.
#include "framework/ops/attention.h"

#include <gtest/gtest.h>

#include "framework/core/pool.h"
#include "framework/ops/elementwise.h"
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

// y without and with P kept, then dquery, dkey and dvalue, in f32.
std::vector<std::vector<float>> both_passes(const Tensors& in, const Tensor& dy) {
  const Device device = dy.device();
  const int64_t images = dy.shape()[0], length = dy.shape()[1];
  Tensor none, kept = Tensor::empty({images, 1, length, length}, dy.dtype(), device);
  Tensors out(5);
  for (Tensor& t : out) t = Tensor::like(dy);
  DDPM_DISPATCH(device, attention_forward(in[0], in[1], in[2], 1, none, out[0]));
  DDPM_DISPATCH(device, attention_forward(in[0], in[1], in[2], 1, kept, out[1]));
  DDPM_DISPATCH(device,
                attention_backward(in[0], in[1], in[2], kept, 1, dy, out[2], out[3], out[4]));
  std::vector<std::vector<float>> result;
  for (const Tensor& t : out) result.push_back(cast(t, DType::kF32).to_host<float>());
  return result;
}

TEST_F(CudaAttention, ImagesTakeTurnsInTheScratch) {
  // Scores of 16 MiB per image in f32, of 24 MiB with what bf16 rounds from them.
  const Shape s{5, 2048, 2};
  const OpCase values{.name = "query, key, value, dy", .inputs = {{s}, {s}, {s}, {s}}, .run = {}};
  const Tensors on_cpu = make_inputs(values, DType::kF32, Device::kCpu, {}, true);
  const auto expected = both_passes(on_cpu, on_cpu[3]);
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::kF32, 2e-5f}, std::pair{DType::kBf16, 0x1p-6f}}) {
    const auto pool = Pool::create(Device::kCuda);
    const PoolScope scope(pool);
    const Tensors in = make_inputs(values, dtype, Device::kCuda, {}, true);
    const auto actual = both_passes(in, in[3]);
    const size_t kept = static_cast<size_t>(s[0] * s[1] * s[1]) * size_of(dtype);
    EXPECT_LE(pool->peak_bytes_in_use(), kept + (66 << 20)) << name_of(dtype);
    for (size_t k = 0; k < expected.size(); ++k) {
      float largest = 0;
      for (float e : expected[k]) largest = std::max(largest, std::abs(e));
      for (size_t i = 0; i < expected[k].size(); ++i)
        ASSERT_NEAR(actual[k][i], expected[k][i], tolerance * largest)
            << name_of(dtype) << ", result " << k << ", element " << i;
    }
  }
}

}  // namespace
}  // namespace ddpm::testing
