// Cases of framework/ops/group_norm.h and dropout.h. The oracle of the fused op is its unfused
// composition: plain normalisation, then silu, then dropout.
#include <cmath>

#include "framework/ops/concat.h"
#include "framework/ops/dropout.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/group_norm.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

RandomStream mask_stream(Device device) {
  return {7, random_site("mask"), random_counter(3, 11, device)};
}

// gamma and beta
Input per_channel(int64_t channels) { return {.shape = {channels}, .is_f32 = true}; }

Tensor plain_group_norm(const Tensors& in, int groups, double epsilon) {
  const Shape s = in[0].shape();
  const int64_t positions = s[1] * s[2], channels = s[3], size = channels / groups;
  Tensor y = Tensor::like(in[0]);
  const double* x = in[0].data<double>();
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t g = 0; g < groups; ++g) {
      const auto at = [&](int64_t p, int64_t c) {
        return (n * positions + p) * channels + g * size + c;
      };
      double mean = 0, variance = 0;
      const double count = static_cast<double>(positions * size);
      for (int64_t p = 0; p < positions; ++p)
        for (int64_t c = 0; c < size; ++c) mean += x[at(p, c)] / count;
      for (int64_t p = 0; p < positions; ++p)
        for (int64_t c = 0; c < size; ++c) variance += std::pow(x[at(p, c)] - mean, 2) / count;
      for (int64_t p = 0; p < positions; ++p)
        for (int64_t c = 0; c < size; ++c)
          y.data<double>()[at(p, c)] = (x[at(p, c)] - mean) / std::sqrt(variance + epsilon) *
                                           in[1].data<double>()[g * size + c] +
                                       in[2].data<double>()[g * size + c];
    }
  return y;
}

DDPM_OP_CASE(
    GroupNorm, .inputs = {{{2, 3, 5, 12}, -2, 3}, per_channel(12), per_channel(12)},
    .run = [](const Tensors& in) { return group_norm(in[0], in[1], in[2], {.groups = 4}); },
    .reference = [](const Tensors& in) { return plain_group_norm(in, 4, 1e-6); },
    .bench_shapes = {{16, 16, 16, 256}, {256}, {256}});
DDPM_OP_CASE(
    GroupNormOneChannelGroups, .inputs = {{{2, 4, 4, 5}}, per_channel(5), per_channel(5)},
    .run =
        [](const Tensors& in) {
          return group_norm(in[0], in[1], in[2], {.groups = 5, .epsilon = 1e-5});
        },
    .reference = [](const Tensors& in) { return plain_group_norm(in, 5, 1e-5); });
// More channels than one piece of work takes, and groups that do not divide a piece.
DDPM_OP_CASE(
    GroupNormWide, .inputs = {{{1, 2, 2, 120}}, per_channel(120), per_channel(120)},
    .run = [](const Tensors& in) { return group_norm(in[0], in[1], in[2], {.groups = 10}); },
    .reference = [](const Tensors& in) { return plain_group_norm(in, 10, 1e-6); });
// A large common offset: E[x^2] - E[x]^2 would lose every digit in f32.
DDPM_OP_CASE(
    GroupNormOffset, .inputs = {{{2, 4, 4, 6}, 999, 1001}, per_channel(6), per_channel(6)},
    .run = [](const Tensors& in) { return group_norm(in[0], in[1], in[2], {.groups = 2}); },
    // x itself carries 3e-5 of rounding at 1000, against a deviation near 1.
    .f32_tolerance = 5e-4);
DDPM_OP_CASE(
    GroupNormSilu, .inputs = {{{2, 3, 5, 12}, -2, 3}, per_channel(12), per_channel(12)},
    .run =
        [](const Tensors& in) {
          return group_norm(in[0], in[1], in[2], {.groups = 4, .silu = true});
        },
    .reference = [](const Tensors& in) { return silu(plain_group_norm(in, 4, 1e-6)); },
    .bench_shapes = {{16, 32, 32, 128}, {128}, {128}});
DDPM_OP_CASE(
    GroupNormDropout, .inputs = {{{2, 3, 3, 10}}, per_channel(10), per_channel(10)},
    .run =
        [](const Tensors& in) {
          return group_norm(in[0], in[1], in[2],
                            {.groups = 5, .dropout = 0.3, .stream = mask_stream(in[0].device())});
        },
    .reference =
        [](const Tensors& in) {
          return dropout(plain_group_norm(in, 5, 1e-6), 0.3, mask_stream(in[0].device()));
        });
DDPM_OP_CASE(
    GroupNormSiluDropout, .inputs = {{{2, 3, 5, 72}}, per_channel(72), per_channel(72)},
    .run =
        [](const Tensors& in) {
          return group_norm(
              in[0], in[1], in[2],
              {.groups = 8, .silu = true, .dropout = 0.1, .stream = mask_stream(in[0].device())});
        },
    .reference =
        [](const Tensors& in) {
          return dropout(silu(plain_group_norm(in, 8, 1e-6)), 0.1, mask_stream(in[0].device()));
        },
    .bench_shapes = {{16, 32, 32, 128}, {128}, {128}});

// Two-part inputs: with the seam between two groups, within one, and where no pack begins.
DDPM_OP_CASE(
    GroupNormSkip,
    .inputs = {{{2, 3, 3, 16}, -2, 3}, {{2, 3, 3, 8}}, per_channel(24), per_channel(24)},
    .run =
        [](const Tensors& in) {
          return group_norm({in[0], in[1]}, in[2], in[3], {.groups = 3, .silu = true});
        },
    .reference =
        [](const Tensors& in) {
          return silu(plain_group_norm({concat_channels(in[0], in[1]), in[2], in[3]}, 3, 1e-6));
        },
    .bench_shapes = {{16, 16, 16, 256}, {16, 16, 16, 128}, {384}, {384}});
DDPM_OP_CASE(
    GroupNormSkipInGroup,
    .inputs = {{{2, 2, 3, 16}, -2, 3}, {{2, 2, 3, 8}}, per_channel(24), per_channel(24)},
    .run =
        [](const Tensors& in) {
          return group_norm({in[0], in[1]}, in[2], in[3], {.groups = 2});
        },
    .reference =
        [](const Tensors& in) {
          return plain_group_norm({concat_channels(in[0], in[1]), in[2], in[3]}, 2, 1e-6);
        });
DDPM_OP_CASE(
    GroupNormSkipOddSiluDropout,
    .inputs = {{{2, 3, 2, 7}}, {{2, 3, 2, 5}, -3, 1}, per_channel(12), per_channel(12)},
    .run =
        [](const Tensors& in) {
          return group_norm(
              {in[0], in[1]}, in[2], in[3],
              {.groups = 2, .silu = true, .dropout = 0.3, .stream = mask_stream(in[0].device())});
        },
    .reference =
        [](const Tensors& in) {
          return dropout(
              silu(plain_group_norm({concat_channels(in[0], in[1]), in[2], in[3]}, 2, 1e-6)), 0.3,
              mask_stream(in[0].device()));
        });

DDPM_OP_CASE(
    Dropout, .inputs = {{{3, 70}}},
    .run = [](const Tensors& in) { return dropout(in[0], 0.4, mask_stream(in[0].device())); },
    .bench_shapes = {{16, 32 * 32 * 128}});

DDPM_ERROR_CASE(
    GroupNormGroups,
    .run =
        [] {
          const Tensor c = full({10}, 1, DType::kF32, Device::kCpu);
          group_norm(full({1, 2, 2, 10}, 1, DType::kF32, Device::kCpu), c, c, {.groups = 4});
        },
    .message = "group_norm: the 10 channels of x (1, 2, 2, 10)");
DDPM_ERROR_CASE(
    GroupNormSkipShape,
    .run =
        [] {
          const Tensor c = full({8}, 1, DType::kF32, Device::kCpu);
          group_norm({full({1, 2, 2, 4}, 1, DType::kF32, Device::kCpu),
                      full({1, 2, 3, 4}, 1, DType::kF32, Device::kCpu)},
                     c, c, {.groups = 4});
        },
    .message = "group_norm: skip (1, 2, 3, 4) beside x (1, 2, 2, 4)");
DDPM_ERROR_CASE(
    DropoutRate,
    .run = [] { dropout(full({2}, 1, DType::kF32, Device::kCpu), 1, mask_stream(Device::kCpu)); },
    .message = "dropout: the rate 1 is not in [0, 1)");

}  // namespace
}  // namespace ddpm::testing
