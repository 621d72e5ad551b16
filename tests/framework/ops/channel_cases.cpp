// Cases of framework/ops/concat.h and resample.h.
#include "framework/ops/concat.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/resample.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

DDPM_OP_CASE(
    ConcatChannels, .inputs = {{{2, 3, 3, 5}}, {{2, 3, 3, 3}}},
    .run = [](const Tensors& in) { return concat_channels(in[0], in[1]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::empty({2, 3, 3, 8}, DType::kF64, Device::kCpu);
          for (int i = 0; i < y.numel(); ++i) {
            const int p = i / 8, c = i % 8;
            y.data<double>()[i] =
                c < 5 ? in[0].data<double>()[p * 5 + c] : in[1].data<double>()[p * 3 + c - 5];
          }
          return y;
        },
    .bench_shapes = {{16, 32, 32, 128}, {16, 32, 32, 128}});
DDPM_OP_CASE(
    ConcatWithItself, .inputs = {{{4, 3}}},
    .run = [](const Tensors& in) { return concat_channels(in[0], in[0]); });
DDPM_OP_CASE(
    SplitBoth, .inputs = {{{2, 3, 6}}}, .run = [](const Tensors& in) {
      const auto [a, b] = split_channels(in[0], 3);
      return multiply(a, b);
    });
DDPM_OP_CASE(
    SplitFirstOnly, .inputs = {{{5, 7}}},
    .run = [](const Tensors& in) { return split_channels(in[0], 2).first; });
DDPM_OP_CASE(
    SplitSecondOnly, .inputs = {{{5, 7}}},
    .run = [](const Tensors& in) { return split_channels(in[0], 2).second; });

DDPM_OP_CASE(
    UpsampleNearest, .inputs = {{{2, 3, 5, 3}}},
    .run = [](const Tensors& in) { return upsample_nearest(in[0]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::empty({2, 6, 10, 3}, DType::kF64, Device::kCpu);
          for (int i = 0; i < y.numel(); ++i) {
            const int c = i % 3, w = i / 3 % 10, h = i / 30 % 6, n = i / 180;
            y.data<double>()[i] = in[0].data<double>()[((n * 3 + h / 2) * 5 + w / 2) * 3 + c];
          }
          return y;
        },
    .bench_shapes = {{16, 16, 16, 256}});
DDPM_OP_CASE(
    AveragePool, .inputs = {{{2, 6, 4, 5}}},
    .run = [](const Tensors& in) { return average_pool(in[0]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::zeros({2, 3, 2, 5}, DType::kF64, Device::kCpu);
          for (int i = 0; i < in[0].numel(); ++i) {
            const int c = i % 5, w = i / 5 % 4, h = i / 20 % 6, n = i / 120;
            y.data<double>()[((n * 3 + h / 2) * 2 + w / 2) * 5 + c] += in[0].data<double>()[i] / 4;
          }
          return y;
        });

DDPM_ERROR_CASE(
    ConcatShapes,
    .run =
        [] {
          concat_channels(full({2, 3, 3, 5}, 0, DType::kF32, Device::kCpu),
                          full({2, 3, 4, 5}, 0, DType::kF32, Device::kCpu));
        },
    .message = "concat_channels: (2, 3, 3, 5) and (2, 3, 4, 5) differ");
DDPM_ERROR_CASE(
    SplitTooFar,
    .run =
        [] {
          split_channels(full({2, 3}, 0, DType::kF32, Device::kCpu), 3);
        },
    .message = "split_channels: 3 of the channels of (2, 3)");
DDPM_ERROR_CASE(
    AveragePoolOdd,
    .run =
        [] {
          average_pool(full({1, 3, 4, 1}, 0, DType::kF32, Device::kCpu));
        },
    .message = "average_pool: x (1, 3, 4, 1)");

}  // namespace
}  // namespace ddpm::testing
