// Cases of framework/ops/reduce.h and view.h. Sums of all elements or of rows are for losses, which
// are never bf16.
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "framework/ops/view.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

DDPM_OP_CASE(
    Sum, .inputs = {{{3, 5, 7}}}, .run = [](const Tensors& in) { return sum(in[0]); },
    .reference =
        [](const Tensors& in) {
          double total = 0;
          for (double v : in[0].to_host<double>()) total += v;
          return full({1}, total, DType::kF64, Device::kCpu);
        },
    .bf16_tolerance = 0, .bench_shapes = {{16, 32, 32, 128}});
// Longer than one piece of work and not a multiple of the lanes.
DDPM_OP_CASE(
    MeanOfSquaresLong, .inputs = {{{3, 11003}}},
    .run = [](const Tensors& in) { return mean(multiply(in[0], in[0])); }, .bf16_tolerance = 0);
DDPM_OP_CASE(
    RowMean, .inputs = {{{3, 5, 7}}}, .run = [](const Tensors& in) { return row_mean(in[0]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::zeros({3}, DType::kF64, Device::kCpu);
          for (int i = 0; i < 105; ++i) y.data<double>()[i / 35] += in[0].data<double>()[i] / 35;
          return y;
        },
    .bf16_tolerance = 0);
DDPM_OP_CASE(
    SpatialMean, .inputs = {{{2, 3, 5, 7}}},
    .run = [](const Tensors& in) { return spatial_mean(in[0]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::zeros({2, 7}, DType::kF64, Device::kCpu);
          for (int n = 0; n < 2; ++n)
            for (int p = 0; p < 15; ++p)
              for (int c = 0; c < 7; ++c)
                y.data<double>()[n * 7 + c] += in[0].data<double>()[(n * 15 + p) * 7 + c] / 15;
          return y;
        },
    .bench_shapes = {{16, 32, 32, 128}});
DDPM_OP_CASE(
    Reshape, .inputs = {{{2, 6}}}, .run = [](const Tensors& in) {
      return multiply(reshape(in[0], {3, 4}), reshape(in[0], {3, 4}));
    });

DDPM_ERROR_CASE(
    ReshapeSize, .run = [] { reshape(full({6}, 0, DType::kF32, Device::kCpu), {4}); },
    .message = "reshape: (6) has 6 elements, (4) has 4");
DDPM_ERROR_CASE(
    SpatialMeanRank, .run = [] { spatial_mean(full({6}, 0, DType::kF32, Device::kCpu)); },
    .message = "spatial_mean: x (6) is not (N, H, W, C)");

}  // namespace
}  // namespace ddpm::testing
