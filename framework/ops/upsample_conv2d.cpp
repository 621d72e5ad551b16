#include "framework/ops/upsample_conv2d.h"

#include "framework/autograd/tape.h"
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

Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  DDPM_CHECK(weight.shape().rank() == 4 && weight.shape()[1] == 3 && weight.shape()[2] == 3,
             "upsample_conv2d: weight {} is not (K, 3, 3, C)", weight.shape());
  DDPM_CHECK(x.shape().rank() == 4 && x.shape()[3] == weight.shape()[3],
             "upsample_conv2d: x {} is not (N, H, W, C) for weight {}", x.shape(), weight.shape());
  return conv2d_transpose(x, smear_kernel(weight), bias, Conv2dGeometry::same(4, 2));
}

namespace cpu {

void smear_kernel_forward(const Tensor& weight, Tensor& smeared) {
  const int64_t outputs = weight.shape()[0], channels = weight.shape()[3];
  DDPM_NETWORK_FLOATS(weight.dtype(), T, {
    const T* in = weight.data<T>();
    T* out = smeared.data<T>();
    parallel_for(channels, [&](int64_t c) {
      for (int u = 0; u < 4; ++u)
        for (int v = 0; v < 4; ++v)
          for (int64_t k = 0; k < outputs; ++k)
            out[((c * 4 + u) * 4 + v) * outputs + k] = math::smeared(in, channels, k, u, v, c);
    });
  });
}

void smear_kernel_backward(const Tensor& dsmeared, Tensor& dweight) {
  const int64_t outputs = dweight.shape()[0], channels = dweight.shape()[3];
  DDPM_FLOATS(dweight.dtype(), T, {
    const T* in = dsmeared.data<T>();
    T* out = dweight.data<T>();
    parallel_for(outputs, [&](int64_t k) {
      for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s)
          for (int64_t c = 0; c < channels; ++c)
            out[((k * 3 + r) * 3 + s) * channels + c] = math::gathered(in, outputs, k, r, s, c);
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
