#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/ops/attention.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

Tensor naive_attention(const Tensors& in, int heads) {
  const int64_t length = in[0].shape()[1], channels = in[0].shape()[2], width = channels / heads;
  Tensor y = Tensor::zeros(in[0].shape(), DType::kF64, Device::kCpu);
  for (int64_t image = 0; image < in[0].shape()[0]; ++image)
    for (int64_t head = 0; head < heads; ++head) {
      const auto at = [&](const Tensor& t, int64_t row, int64_t c) -> double& {
        return t.data<double>()[(image * length + row) * channels + head * width + c];
      };
      for (int64_t i = 0; i < length; ++i) {
        std::vector<double> p(static_cast<size_t>(length));
        double total = 0;
        for (int64_t j = 0; j < length; ++j) {
          double dot = 0;
          for (int64_t c = 0; c < width; ++c) dot += at(in[0], i, c) * at(in[1], j, c);
          total += p[j] = std::exp(dot / std::sqrt(static_cast<double>(width)));
        }
        for (int64_t j = 0; j < length; ++j)
          for (int64_t c = 0; c < width; ++c) at(y, i, c) += p[j] / total * at(in[2], j, c);
      }
    }
  return y;
}

OpCase attention_case(Shape shape, int heads, double range = 1) {
  OpCase c;
  c.inputs = {{shape, -range, range}, {shape, -range, range}, {shape}};
  c.run = [=](const Tensors& in) { return attention(in[0], in[1], in[2], heads); };
  c.reference = [=](const Tensors& in) { return naive_attention(in, heads); };
  // P and dS are rounded, too, and the terms of dquery and dkey cancel: each row of dS adds up to
  // 0.
  c.bf16_tolerance = 0x1p-6;
  return c;
}

OpCase timed(OpCase c, Shape shape) {
  c.bench_shapes = {shape, shape, shape};
  c.bench_flops = 4.0 * static_cast<double>(shape.numel() * shape[1]);
  return c;
}

const RegisterCase one_head("AttentionOneHead", timed(attention_case({3, 5, 3}, 1), {8, 256, 256}));
const RegisterCase three_heads("AttentionThreeHeads", attention_case({2, 3, 9}, 3));
// More queries than one block of the CPU kernel.
const RegisterCase two_blocks("AttentionLongSequence", attention_case({1, 131, 2}, 1));
// Rows of P in packs, more than one per lane of a warp on CUDA.
const RegisterCase packs("AttentionPacks", attention_case({1, 132, 2}, 2));
// Wide enough for the matrix unit of the CPU: tails of its tiles, more than one block of queries,
// and heads enough for one block.
const RegisterCase tiles("AttentionTiles", attention_case({1, 37, 42}, 2));
const RegisterCase tile_blocks("AttentionTileBlocks", attention_case({1, 129, 16}, 1));
const RegisterCase many_heads("AttentionManyHeads", attention_case({2, 17, 64}, 4));
const RegisterCase sharp("AttentionSharp", attention_case({1, 4, 3}, 1, 5));

Tensor f32(Shape shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

DDPM_ERROR_CASE(
    AttentionHeads,
    .run =
        [] {
          attention(f32({1, 4, 6}), f32({1, 4, 6}), f32({1, 4, 6}), 4);
        },
    .message = "attention: 6 channels in 4 heads");
DDPM_ERROR_CASE(
    AttentionShapes,
    .run =
        [] {
          attention(f32({1, 4, 6}), f32({1, 5, 6}), f32({1, 4, 6}), 1);
        },
    .message = "attention: query (1, 4, 6), key (1, 5, 6) and value (1, 4, 6) differ");

}  // namespace
}  // namespace ddpm::testing
