#include "framework/ops/upsample_conv2d.h"

#include <algorithm>
#include <variant>

#include "framework/autograd/tape.h"
#include "framework/cpu/kept_weights.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/conv2d.h"

namespace ddpm {
namespace {

Tensor smear_kernel(const Tensor& weight) {
  const int64_t outputs = weight.shape()[0], channels = weight.shape()[3];
  Tensor smeared = Tensor::empty({channels, 4, 4, outputs}, weight.dtype(), weight.device());
  DDPM_DISPATCH(weight.device(), smear_kernel_forward(weight, smeared));
  Tape::record("smear_kernel", {weight}, smeared, [weight](const Tensor& dsmeared) {
    Tensor dweight = grad_buffer(weight);
    DDPM_DISPATCH(weight.device(), smear_kernel_backward(dsmeared, dweight));
    accumulate_grad(weight.slot(), dweight);
  });
  return smeared;
}

}  // namespace

Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, bool feeds_norm) {
  DDPM_CHECK(weight.shape().rank() == 4 && weight.shape()[1] == 3 && weight.shape()[2] == 3,
             "upsample_conv2d: weight {} is not (K, 3, 3, C)", weight.shape());
  DDPM_CHECK(x.shape().rank() == 4 && x.shape()[3] == weight.shape()[3],
             "upsample_conv2d: x {} is not (N, H, W, C) for weight {}", x.shape(), weight.shape());
  const Tensor smeared =
      cpu::kept_weights(weight, std::monostate{}, [&] { return smear_kernel(weight); });
  return conv2d_transpose(x, smeared, bias, Conv2dGeometry::same(4, 2), feeds_norm);
}

namespace cpu {
namespace {

// Both kernels turn (k, c) into (c, k), a block of 16 by 16 at a time: a cache line in, a cache
// line out.
constexpr int64_t kBlock = 16;

template <class T>
using Block = T[kBlock][kBlock];

}  // namespace

void smear_kernel_forward(const Tensor& weight, Tensor& smeared) {
  const int64_t outputs = weight.shape()[0], channels = weight.shape()[3];
  DDPM_NETWORK_FLOATS(weight.dtype(), T, {
    const T* in = weight.data<T>();
    T* out = smeared.data<T>();
    parallel_ranges(channels, kBlock, [&](int64_t c0, int64_t c1) {
      Block<T> taps[16];
      for (int64_t k0 = 0; k0 < outputs; k0 += kBlock) {
        const int64_t k1 = std::min(outputs, k0 + kBlock);
        for (int64_t k = k0; k < k1; ++k)
          for (int uv = 0; uv < 16; ++uv)
            for (int64_t c = c0; c < c1; ++c)
              taps[uv][c - c0][k - k0] = math::smeared(in, channels, k, uv / 4, uv % 4, c);
        for (int64_t c = c0; c < c1; ++c)
          for (int uv = 0; uv < 16; ++uv)
            std::copy_n(taps[uv][c - c0], k1 - k0, out + (c * 16 + uv) * outputs + k0);
      }
    });
  });
}

void smear_kernel_backward(const Tensor& dsmeared, Tensor& dweight) {
  const int64_t outputs = dweight.shape()[0], channels = dweight.shape()[3];
  DDPM_FLOATS(dweight.dtype(), T, {
    const T* in = dsmeared.data<T>();
    T* out = dweight.data<T>();
    parallel_ranges(channels, kBlock, [&](int64_t c0, int64_t c1) {
      Block<T> taps[9];
      for (int64_t k0 = 0; k0 < outputs; k0 += kBlock) {
        const int64_t k1 = std::min(outputs, k0 + kBlock);
        for (int64_t c = c0; c < c1; ++c)
          for (int rs = 0; rs < 9; ++rs)
            for (int64_t k = k0; k < k1; ++k)
              taps[rs][k - k0][c - c0] = math::gathered(in, outputs, k, rs / 3, rs % 3, c);
        for (int64_t k = k0; k < k1; ++k)
          for (int rs = 0; rs < 9; ++rs)
            std::copy_n(taps[rs][k - k0], c1 - c0, out + (k * 9 + rs) * channels + c0);
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
