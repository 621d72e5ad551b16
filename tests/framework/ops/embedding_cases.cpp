// Embedding: rows that are asked for several times, once and never.
#include "framework/ops/embedding.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

Tensor look_up(const Tensors& in) { return embedding(in[0], in[1]); }

Tensor naive(const Tensors& in) {
  const int64_t width = in[0].shape()[1];
  Tensor y = Tensor::empty({in[1].numel(), width}, DType::kF64, Device::kCpu);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] =
        in[0].data<double>()[in[1].data<int32_t>()[i / width] * width + i % width];
  return y;
}

DDPM_OP_CASE(Embedding, .inputs = {{{11, 33}}, {{7}, 0, 10, false, true}}, .run = look_up,
             .reference = naive, .bench_shapes = {{11, 512}, {128}});
DDPM_OP_CASE(EmbeddingOfOneRow, .inputs = {{{1, 5}}, {{9}, 0, 0, false, true}}, .run = look_up,
             .reference = naive);

Tensor zeros(Shape shape, DType dtype) { return Tensor::zeros(shape, dtype, Device::kCpu); }

DDPM_ERROR_CASE(
    EmbeddingOfAVector, .run = [] { embedding(zeros({3}, DType::kF32), zeros({2}, DType::kI32)); },
    .message = "embedding: the table (3)");
DDPM_ERROR_CASE(
    EmbeddingByFloats,
    .run =
        [] {
          embedding(zeros({3, 2}, DType::kF32), zeros({2}, DType::kF32));
        },
    .message = "embedding: rows are f32");

}  // namespace
}  // namespace ddpm::testing
