// The reference is the composition that upsample_conv2d replaces.
#include "framework/ops/conv2d.h"
#include "framework/ops/resample.h"
#include "framework/ops/upsample_conv2d.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

OpCase upsample_case(Shape x, int64_t outputs) {
  OpCase c;
  c.inputs = {{x}, {{outputs, 3, 3, x[3]}}, {.shape = {outputs}, .is_f32 = true}};
  c.run = [](const Tensors& in) { return upsample_conv2d(in[0], in[1], in[2]); };
  c.reference = [](const Tensors& in) {
    return conv2d(upsample_nearest(in[0]), in[1], in[2], Conv2dGeometry::same(3));
  };
  // Sums of up to four bf16 weights are rounded to bf16 before they are multiplied: an error of
  // 2^-9 per product more.
  c.bf16_tolerance = 0x1p-6;
  return c;
}

OpCase timed(OpCase c, Shape x, int64_t outputs) {
  c.bench_shapes = {x, {outputs, 3, 3, x[3]}, {outputs}};
  c.bench_flops = 2.0 * 16 * static_cast<double>(x.numel() * outputs);
  return c;
}

const RegisterCase square("UpsampleConv2d",
                          timed(upsample_case({2, 3, 3, 3}, 4), {8, 16, 16, 256}, 256));
const RegisterCase rectangle("UpsampleConv2dRectangle", upsample_case({1, 2, 5, 7}, 3));
const RegisterCase pixel("UpsampleConv2dOnePixel", upsample_case({3, 1, 1, 2}, 5));

Tensor f32(Shape shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

DDPM_ERROR_CASE(
    UpsampleConv2dKernel,
    .run =
        [] {
          upsample_conv2d(f32({1, 4, 4, 2}), f32({3, 5, 5, 2}), {});
        },
    .message = "upsample_conv2d: weight (3, 5, 5, 2) is not (K, 3, 3, C)");
DDPM_ERROR_CASE(
    UpsampleConv2dChannels,
    .run =
        [] {
          upsample_conv2d(f32({1, 4, 4, 4}), f32({3, 3, 3, 2}), {});
        },
    .message = "upsample_conv2d: x (1, 4, 4, 4) is not (N, H, W, C) for weight (3, 3, 3, 2)");

}  // namespace
}  // namespace ddpm::testing
