#include "framework/ops/linear.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

// x, weight, and perhaps bias and residual
Tensor naive_linear(const Tensors& in) {
  const int64_t columns = in[1].shape()[0], channels = in[1].shape()[1];
  Tensor y = Tensor::empty(in[0].shape().with_inner(columns), DType::kF64, Device::kCpu);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t row = i / columns, k = i % columns;
    double sum = in.size() > 2 ? in[2].data<double>()[k] : 0;
    if (in.size() > 3) sum += in[3].data<double>()[i];
    for (int64_t c = 0; c < channels; ++c)
      sum += in[0].data<double>()[row * channels + c] * in[1].data<double>()[k * channels + c];
    y.data<double>()[i] = sum;
  }
  return y;
}

Tensor run_linear(const Tensors& in) {
  return linear(in[0], in[1], in[2], in.size() > 3 ? in[3] : Tensor());
}

Input bias(int64_t channels) { return {.shape = {channels}, .is_f32 = true}; }

// The time embedding of a batch.
DDPM_OP_CASE(LinearFewRows, .inputs = {{{3, 33}}, {{5, 33}}, bias(5)}, .run = run_linear,
             .reference = naive_linear, .bench_shapes = {{8, 512}, {512, 512}, {512}},
             .bench_flops = 2.0 * 8 * 512 * 512);
// A 1x1 convolution on the positions of an image batch.
DDPM_OP_CASE(LinearManyRows, .inputs = {{{2, 3, 5, 3}}, {{5, 3}}, bias(5)}, .run = run_linear,
             .reference = naive_linear, .bench_shapes = {{8, 16, 16, 256}, {256, 256}, {256}},
             .bench_flops = 2.0 * 8 * 256 * 256 * 256);
DDPM_OP_CASE(LinearWide, .inputs = {{{2, 3}}, {{67, 3}}, bias(67)}, .run = run_linear,
             .reference = naive_linear);
DDPM_OP_CASE(
    LinearNoBias, .inputs = {{{4, 1, 5}}, {{3, 5}}},
    .run = [](const Tensors& in) { return linear(in[0], in[1], {}); }, .reference = naive_linear);

// The last map of an attention block.
DDPM_OP_CASE(LinearResidual, .inputs = {{{2, 3, 16}}, {{8, 16}}, bias(8), {{2, 3, 8}}},
             .run = run_linear, .reference = naive_linear,
             .bench_shapes = {{8, 16, 16, 256}, {256, 256}, {256}, {8, 16, 16, 256}},
             .bench_flops = 2.0 * 8 * 256 * 256 * 256);
DDPM_OP_CASE(LinearResidualOdd, .inputs = {{{7, 5}}, {{3, 5}}, bias(3), {{7, 3}}},
             .run = run_linear, .reference = naive_linear);

Tensor f32(Shape shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

DDPM_ERROR_CASE(
    LinearChannels,
    .run =
        [] {
          linear(f32({2, 7, 64}), f32({128, 32}), {});
        },
    .message = "linear: x (2, 7, 64) has 64 channels, weight (128, 32) expects 32");
DDPM_ERROR_CASE(
    LinearWeightRank,
    .run =
        [] {
          linear(f32({2, 64}), f32({1, 1, 64}), {});
        },
    .message = "linear: weight (1, 1, 64) is not (K, C)");
DDPM_ERROR_CASE(
    LinearBias,
    .run =
        [] {
          linear(f32({2, 64}), f32({32, 64}), f32({64}));
        },
    .message = "linear: bias (64) is not (32)");

DDPM_ERROR_CASE(
    LinearResidualShape,
    .run =
        [] {
          linear(f32({2, 64}), f32({32, 64}), {}, f32({2, 64}));
        },
    .message = "linear: residual (2, 64) is not (2, 32)");

}  // namespace
}  // namespace ddpm::testing
