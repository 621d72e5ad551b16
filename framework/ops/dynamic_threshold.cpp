#include "framework/ops/dynamic_threshold.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/cpu/parallel.h"

namespace ddpm {

Tensor dynamic_threshold(const Tensor& x, double quantile) {
  DDPM_CHECK(quantile >= 0 && quantile <= 1, "dynamic_threshold: quantile {} is not in [0, 1]",
             quantile);
  DDPM_CHECK(x.shape().rank() > 1, "dynamic_threshold: {} are no samples (N, ...)", x.shape());
  Tensor y = Tensor::like(x);
  if (x.numel() > 0) DDPM_DISPATCH(x.device(), dynamic_threshold_forward(x, quantile, y));
  return y;
}

namespace cpu {

void dynamic_threshold_forward(const Tensor& x, double quantile, Tensor& y) {
  const int64_t samples = x.shape()[0], size = x.numel() / samples;
  const QuantilePlace place(quantile, size);
  DDPM_FLOATS(x.dtype(), T, {
    parallel_for(samples, [&](int64_t n) {
      const T* in = x.data<T>() + n * size;
      T* out = y.data<T>() + n * size;
      std::vector<T> sizes(in, in + size);
      for (T& v : sizes) v = std::abs(v);
      std::nth_element(sizes.begin(), sizes.begin() + place.below, sizes.end());
      const T below = sizes[static_cast<size_t>(place.below)];
      const T above = place.above == place.below
                          ? below
                          : *std::min_element(sizes.begin() + place.above, sizes.end());
      const T s = std::max(T(1), below + static_cast<T>(place.share) * (above - below));
      for (int64_t i = 0; i < size; ++i) out[i] = std::min(std::max(in[i], -s), s) / s;
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
