#include "framework/cpu/conv2d_gather.h"

namespace ddpm::cpu {
namespace {

// The pixels of x in the order of their remainders modulo the stride: all pixels of one class are
// reached by the same taps.
Tensor pixels_by_phase(const Conv2dProblem& p) {
  Tensor pixel = Tensor::empty({p.in_pixels()}, DType::kI32, Device::kCpu);
  int32_t* next = pixel.data<int32_t>();
  for (int64_t top = 0; top < p.stride; ++top)
    for (int64_t left = 0; left < p.stride; ++left)
      for (int64_t h = top; h < p.in_height; h += p.stride)
        for (int64_t w = left; w < p.in_width; w += p.stride)
          *next++ = static_cast<int32_t>(h * p.in_width + w);
  return pixel;
}

// (taps, H * W) i32: the pixel of y that reads pixel[j] of x through each tap, or -1.
Tensor backward_sources(const Conv2dProblem& p, const Tensor& pixel) {
  Tensor sources = Tensor::empty({p.taps(), p.in_pixels()}, DType::kI32, Device::kCpu);
  int32_t* next = sources.data<int32_t>();
  const int32_t* pixels = pixel.data<int32_t>();
  for (int64_t r = 0; r < p.kernel_height; ++r)
    for (int64_t s = 0; s < p.kernel_width; ++s)
      for (int64_t j = 0; j < p.in_pixels(); ++j) {
        const int64_t top = pixels[j] / p.in_width + p.pad_top - r;
        const int64_t left = pixels[j] % p.in_width + p.pad_left - s;
        const bool is_read = top >= 0 && top % p.stride == 0 && top / p.stride < p.out_height &&
                             left >= 0 && left % p.stride == 0 && left / p.stride < p.out_width;
        *next++ =
            is_read ? static_cast<int32_t>(top / p.stride * p.out_width + left / p.stride) : -1;
      }
  return sources;
}

}  // namespace

Tensor forward_sources(const Conv2dProblem& p) {
  Tensor sources = Tensor::empty({p.taps(), p.out_pixels()}, DType::kI32, Device::kCpu);
  int32_t* next = sources.data<int32_t>();
  for (int64_t r = 0; r < p.kernel_height; ++r)
    for (int64_t s = 0; s < p.kernel_width; ++s)
      for (int64_t row = 0; row < p.out_height; ++row)
        for (int64_t column = 0; column < p.out_width; ++column) {
          const int64_t h = row * p.stride + r - p.pad_top;
          const int64_t w = column * p.stride + s - p.pad_left;
          const bool is_inside = h >= 0 && h < p.in_height && w >= 0 && w < p.in_width;
          *next++ = is_inside ? static_cast<int32_t>(h * p.in_width + w) : -1;
        }
  return sources;
}

GatherConv gather_conv(Conv2dPass pass, const Conv2dProblem& p, const Conv2dOperands& operands) {
  const int64_t row = p.taps() * p.in_channels;  // of one output channel in weight
  GatherConv g{};
  g.images = p.images;
  g.taps = p.taps();
  g.tap_stride = p.in_channels;
  g.weight = operands.weight;
  g.bias = operands.bias;
  if (pass == Conv2dPass::kForward) {
    g.in_pixels = p.in_pixels(), g.out_pixels = p.out_pixels();
    g.in_channels = p.in_channels, g.out_channels = p.out_channels;
    g.in_stride = 1, g.out_stride = row;
    g.in = operands.x, g.out = operands.y;
    g.per_sample = operands.per_sample, g.residual = operands.residual;
    g.source = forward_sources(p);
    g.pixel = Tensor::empty({p.out_pixels()}, DType::kI32, Device::kCpu);
    for (int64_t j = 0; j < p.out_pixels(); ++j)
      g.pixel.data<int32_t>()[j] = static_cast<int32_t>(j);
  } else {
    g.in_pixels = p.out_pixels(), g.out_pixels = p.in_pixels();
    g.in_channels = p.out_channels, g.out_channels = p.in_channels;
    g.in_stride = row, g.out_stride = 1;
    g.in = operands.y, g.out = operands.x;
    g.pixel = pixels_by_phase(p);
    g.source = backward_sources(p, g.pixel);
  }
  return g;
}

}  // namespace ddpm::cpu
