#include "framework/ops/resample.h"

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"

namespace ddpm {

Tensor upsample_nearest(const Tensor& x) {
  const Shape& s = x.shape();
  DDPM_CHECK(s.rank() == 4, "upsample_nearest: x {} is not (N, H, W, C)", s);
  Tensor y = Tensor::empty({s[0], 2 * s[1], 2 * s[2], s[3]}, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), repeat_2x2(x, 1, y));
  Tape::record("upsample_nearest", {x}, y, [slot = x.slot()](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), sum_2x2(dy, 1, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

Tensor average_pool(const Tensor& x) {
  const Shape& s = x.shape();
  DDPM_CHECK(s.rank() == 4 && s[1] % 2 == 0 && s[2] % 2 == 0,
             "average_pool: x {} is not (N, H, W, C) with even H and W", s);
  Tensor y = Tensor::empty({s[0], s[1] / 2, s[2] / 2, s[3]}, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), sum_2x2(x, 0.25, y));
  Tape::record("average_pool", {x}, y, [slot = x.slot()](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), repeat_2x2(dy, 0.25, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

namespace cpu {

void repeat_2x2(const Tensor& x, double factor, Tensor& y) {
  const int64_t width = x.shape()[2], channels = x.shape()[3];
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    // One piece per row of x; it writes two rows of y.
    parallel_for(x.shape()[0] * x.shape()[1], [&](int64_t row) {
      T* top = out + 4 * row * width * channels;
      T* bottom = top + 2 * width * channels;
      for (int64_t w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          const T value =
              static_cast<Accumulator<T>>(factor) * in[(row * width + w) * channels + c];
          const int64_t left = 2 * w * channels + c, right = left + channels;
          top[left] = top[right] = bottom[left] = bottom[right] = value;
        }
    });
  });
}

void sum_2x2(const Tensor& x, double factor, Tensor& y) {
  const int64_t width = y.shape()[2], channels = y.shape()[3];
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(y.shape()[0] * y.shape()[1], [&](int64_t row) {
      const T* top = in + 4 * row * width * channels;
      const T* bottom = top + 2 * width * channels;
      for (int64_t w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t left = 2 * w * channels + c, right = left + channels;
          out[(row * width + w) * channels + c] =
              static_cast<Accumulator<T>>(factor) *
              ((top[left] + top[right]) + (bottom[left] + bottom[right]));
        }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
