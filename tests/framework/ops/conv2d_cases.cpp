// Convolutions: odd extents and channel counts reach every tail of the kernels, the stride-2 cases
// pad (0, 1) as the down-sampling of the DDPM network does.
#include "framework/ops/conv2d.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

// What a case adds to the products, in the order of its inputs behind x and weight.
struct Added {
  bool bias = true, per_sample = false, residual = false;
};
struct AddedTensors {
  Tensor bias, per_sample, residual;

  AddedTensors(const Added& added, const Tensors& in) {
    size_t next = 2;
    if (added.bias) bias = in[next++];
    if (added.per_sample) per_sample = in[next++];
    if (added.residual) residual = in[next++];
  }
};

// The definition in conv2d.h, one sum per output element.
Tensor naive_conv2d(const Tensors& in, const Conv2dGeometry& g, const Added& added) {
  const AddedTensors addends(added, in);
  const Shape &x = in[0].shape(), &w = in[1].shape();
  const int64_t height = (x[1] + g.pad_top + g.pad_bottom - w[1]) / g.stride + 1;
  const int64_t width = (x[2] + g.pad_left + g.pad_right - w[2]) / g.stride + 1;
  Tensor y = Tensor::empty({x[0], height, width, w[0]}, DType::kF64, Device::kCpu);
  double* out = y.data<double>();
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t p = 0; p < height; ++p)
      for (int64_t q = 0; q < width; ++q)
        for (int64_t k = 0; k < w[0]; ++k) {
          double sum = 0;
          if (added.bias) sum += addends.bias.data<double>()[k];
          if (added.per_sample) sum += addends.per_sample.data<double>()[n * w[0] + k];
          if (added.residual) sum += addends.residual.data<double>()[out - y.data<double>()];
          for (int64_t r = 0; r < w[1]; ++r)
            for (int64_t s = 0; s < w[2]; ++s) {
              const int64_t i = p * g.stride + r - g.pad_top, j = q * g.stride + s - g.pad_left;
              if (i < 0 || i >= x[1] || j < 0 || j >= x[2]) continue;
              for (int64_t c = 0; c < x[3]; ++c)
                sum += in[0].data<double>()[((n * x[1] + i) * x[2] + j) * x[3] + c] *
                       in[1].data<double>()[((k * w[1] + r) * w[2] + s) * w[3] + c];
            }
          *out++ = sum;
        }
  return y;
}

// Every input pixel scatters its kernel into the output.
Tensor naive_conv2d_transpose(const Tensors& in, const Conv2dGeometry& g) {
  const Shape &x = in[0].shape(), &w = in[1].shape();
  const int64_t height = x[1] * g.stride, width = x[2] * g.stride;
  Tensor y = Tensor::empty({x[0], height, width, w[3]}, DType::kF64, Device::kCpu);
  double* out = y.data<double>();
  for (int64_t i = 0; i < y.numel(); ++i) out[i] = in[2].data<double>()[i % w[3]];
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t p = 0; p < x[1]; ++p)
      for (int64_t q = 0; q < x[2]; ++q)
        for (int64_t r = 0; r < w[1]; ++r)
          for (int64_t s = 0; s < w[2]; ++s) {
            const int64_t i = p * g.stride + r - g.pad_top, j = q * g.stride + s - g.pad_left;
            if (i < 0 || i >= height || j < 0 || j >= width) continue;
            for (int64_t k = 0; k < x[3]; ++k)
              for (int64_t c = 0; c < w[3]; ++c)
                out[((n * height + i) * width + j) * w[3] + c] +=
                    in[0].data<double>()[((n * x[1] + p) * x[2] + q) * x[3] + k] *
                    in[1].data<double>()[((k * w[1] + r) * w[2] + s) * w[3] + c];
          }
  return y;
}

OpCase conv_case(Shape x, Shape weight, Conv2dGeometry geometry, Added added = {}) {
  const Shape y = geometry.output_shape(x, weight);
  OpCase c;
  c.inputs = {{x}, {weight}};
  if (added.bias) c.inputs.push_back({.shape = {y[3]}, .is_f32 = true});
  if (added.per_sample) c.inputs.push_back({{y[0], y[3]}});
  if (added.residual) c.inputs.push_back({y});
  c.run = [=](const Tensors& in) {
    const AddedTensors addends(added, in);
    return conv2d(in[0], in[1], addends.bias, geometry, {addends.per_sample, addends.residual});
  };
  c.reference = [=](const Tensors& in) { return naive_conv2d(in, geometry, added); };
  return c;
}

OpCase transpose_case(Shape x, Shape weight, Conv2dGeometry geometry) {
  OpCase c;
  c.inputs = {{x}, {weight}, {.shape = {weight[3]}, .is_f32 = true}};
  c.run = [=](const Tensors& in) { return conv2d_transpose(in[0], in[1], in[2], geometry); };
  c.reference = [=](const Tensors& in) { return naive_conv2d_transpose(in, geometry); };
  return c;
}

// The case's own inputs stay small: the real sizes are for the benchmark.
OpCase timed(OpCase c, Shape x, Shape weight, int64_t out_pixels) {
  c.bench_shapes = {x, weight};
  if (c.inputs.size() > 2) c.bench_shapes.push_back({weight[0]});
  c.bench_flops = 2.0 * static_cast<double>(x[0] * out_pixels * weight.numel());
  return c;
}

Conv2dGeometry same(int extent, int stride = 1) { return Conv2dGeometry::same(extent, stride); }

using Case = RegisterCase;

const Case conv_3x3("Conv2d3x3", timed(conv_case({1, 7, 7, 5}, {3, 3, 3, 5}, same(3)),
                                       {8, 32, 32, 128}, {128, 3, 3, 128}, 32 * 32));
const Case conv_16("Conv2d3x3Images3", timed(conv_case({3, 4, 5, 3}, {5, 3, 3, 3}, same(3)),
                                             {8, 16, 16, 256}, {256, 3, 3, 256}, 16 * 16));
const Case conv_8("Conv2d3x3NoBias",
                  timed(conv_case({2, 4, 4, 4}, {4, 3, 3, 4}, same(3), {.bias = false}),
                        {8, 8, 8, 256}, {256, 3, 3, 256}, 8 * 8));
const Case conv_batch("Conv2d3x3Images7", conv_case({7, 3, 3, 2}, {3, 3, 3, 2}, same(3)));
const Case conv_wide("Conv2dWideOutput", conv_case({1, 3, 3, 3}, {70, 3, 3, 3}, same(3)));
const Case conv_deep("Conv2dDeepInput", conv_case({1, 3, 3, 33}, {7, 3, 3, 33}, same(3)));
const Case conv_tail("Conv2dChannels17To65", conv_case({1, 2, 2, 17}, {65, 1, 2, 17}, {}));
const Case conv_down("Conv2dStride2Same", timed(conv_case({2, 8, 6, 5}, {6, 3, 3, 5}, same(3, 2)),
                                                {8, 32, 32, 128}, {128, 3, 3, 128}, 16 * 16));
const Case conv_down_odd("Conv2dStride2OddExtents",
                         conv_case({1, 7, 9, 3}, {4, 3, 3, 3}, {2, 1, 1, 1, 1}));
const Case conv_stride_3("Conv2dStride3SkipsPixels",
                         conv_case({1, 8, 7, 3}, {3, 2, 2, 3}, {3, 0, 0, 0, 0}));
const Case conv_1x1("Conv2d1x1", timed(conv_case({3, 3, 3, 33}, {5, 1, 1, 33}, same(1)),
                                       {8, 16, 16, 256}, {256, 1, 1, 256}, 16 * 16));
const Case conv_1x1_s2("Conv2d1x1Stride2", conv_case({1, 6, 4, 3}, {5, 1, 1, 3}, same(1, 2)));
const Case conv_5x5("Conv2d5x5", conv_case({1, 7, 7, 3}, {3, 5, 5, 3}, same(5)));
const Case conv_1x5("Conv2d1x5Rectangle", conv_case({2, 3, 7, 3}, {4, 1, 5, 3}, {1, 0, 2, 0, 2}));
const Case conv_valid("Conv2dValid", conv_case({1, 7, 5, 3}, {3, 3, 3, 3}, {}));
const Case conv_far("Conv2dPaddingBeyondKernel",
                    conv_case({1, 3, 3, 2}, {2, 2, 2, 2}, {1, 3, 0, 2, 4}));
const Case conv_first("Conv2dImageToFeatures",
                      timed(conv_case({2, 5, 5, 3}, {16, 3, 3, 3}, same(3)), {8, 32, 32, 3},
                            {128, 3, 3, 3}, 32 * 32));
const Case conv_last("Conv2dFeaturesToImage",
                     timed(conv_case({1, 5, 5, 20}, {3, 3, 3, 20}, same(3)), {8, 32, 32, 128},
                           {3, 3, 3, 128}, 32 * 32));

// Features of a multiple of eight move in packs of bf16.
const Case conv_packs("Conv2dPacks", conv_case({2, 3, 4, 16}, {24, 3, 3, 16}, same(3)));
const Case conv_all("Conv2dAllAddends", conv_case({2, 3, 4, 8}, {16, 3, 3, 8}, same(3),
                                                  {.per_sample = true, .residual = true}));
const Case conv_time("Conv2dPerSample",
                     conv_case({3, 4, 3, 5}, {7, 3, 3, 5}, same(3), {.per_sample = true}));
const Case conv_residual("Conv2dResidualNoBias",
                         conv_case({2, 5, 3, 3}, {5, 3, 3, 3}, {2, 1, 1, 1, 1},
                                   {.bias = false, .residual = true}));
const Case conv_1x1_all("Conv2d1x1AllAddends", conv_case({2, 3, 3, 16}, {8, 1, 1, 16}, same(1),
                                                         {.per_sample = true, .residual = true}));

const Case transpose_s1("Conv2dTranspose", transpose_case({2, 4, 3, 5}, {5, 3, 3, 3}, same(3)));
const Case transpose_s2("Conv2dTransposeStride2",
                        transpose_case({2, 3, 4, 4}, {4, 3, 3, 5}, same(3, 2)));
const Case transpose_up("Conv2dTransposeUpSampling",
                        timed(transpose_case({2, 2, 3, 8}, {8, 4, 4, 8}, {2, 1, 1, 1, 1}),
                              {8, 16, 16, 256}, {256, 4, 4, 256}, 16 * 16));
const Case transpose_4x4("Conv2dTranspose4x4",
                         transpose_case({1, 3, 3, 3}, {3, 4, 4, 2}, {2, 1, 1, 1, 1}));

Tensor f32(Shape shape) { return Tensor::zeros(shape, DType::kF32, Device::kCpu); }

DDPM_ERROR_CASE(
    Conv2dChannels,
    .run =
        [] {
          conv2d(f32({2, 8, 8, 64}), f32({128, 3, 3, 32}), {}, same(3));
        },
    .message = "conv2d: x (2, 8, 8, 64) has 64 channels, weight (128, 3, 3, 32) expects 32");
DDPM_ERROR_CASE(
    Conv2dRank,
    .run =
        [] {
          conv2d(f32({8, 8, 4}), f32({4, 3, 3, 4}), {}, same(3));
        },
    .message = "conv2d: x (8, 8, 4) is not (N, H, W, C)");
DDPM_ERROR_CASE(
    Conv2dBias,
    .run =
        [] {
          conv2d(f32({1, 8, 8, 4}), f32({6, 3, 3, 4}), f32({4}), same(3));
        },
    .message = "conv2d: bias (4) is not (6)");
DDPM_ERROR_CASE(
    Conv2dPerSample,
    .run =
        [] {
          conv2d(f32({2, 8, 8, 4}), f32({6, 3, 3, 4}), {}, same(3), {.per_sample = f32({1, 6})});
        },
    .message = "conv2d: per_sample (1, 6) is not (2, 6)");
DDPM_ERROR_CASE(
    Conv2dResidual,
    .run =
        [] {
          conv2d(f32({1, 8, 8, 4}), f32({6, 3, 3, 4}), {}, same(3, 2),
                 {.residual = f32({1, 8, 8, 6})});
        },
    .message = "conv2d: residual (1, 8, 8, 6) is not (1, 4, 4, 6)");
DDPM_ERROR_CASE(
    Conv2dKernelTooLarge,
    .run =
        [] {
          conv2d(f32({1, 2, 8, 4}), f32({6, 3, 3, 4}), {}, {});
        },
    .message =
        "conv2d: the kernel of weight (6, 3, 3, 4) does not fit into x "
        "(1, 2, 8, 4) padded to (2, 8)");
DDPM_ERROR_CASE(
    Conv2dStride,
    .run =
        [] {
          conv2d(f32({1, 8, 8, 4}), f32({6, 3, 3, 4}), {}, {0});
        },
    .message = "conv2d: the stride 0 is not positive");
DDPM_ERROR_CASE(
    Conv2dTypes,
    .run =
        [] {
          const Tensor weight = Tensor::zeros({6, 3, 3, 4}, DType::kF64, Device::kCpu);
          conv2d(f32({1, 8, 8, 4}), weight, {}, same(3));
        },
    .message = "conv2d: x is f32 on cpu, weight f64 on cpu");
DDPM_ERROR_CASE(
    Conv2dTransposeChannels,
    .run =
        [] {
          conv2d_transpose(f32({2, 8, 8, 64}), f32({32, 3, 3, 128}), {}, same(3));
        },
    .message =
        "conv2d_transpose: x (2, 8, 8, 64) has 64 channels, weight (32, 3, 3, 128) expects 32");
DDPM_ERROR_CASE(
    Conv2dTransposeGeometry,
    .run =
        [] {
          conv2d_transpose(f32({1, 4, 4, 3}), f32({3, 3, 3, 2}), {}, {2});
        },
    .message =
        "conv2d_transpose: a conv2d from (1, 8, 8, 2) with weight (3, 3, 3, 2) "
        "gives (1, 3, 3, 3), not x (1, 4, 4, 3)");

}  // namespace
}  // namespace ddpm::testing
