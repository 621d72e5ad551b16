// Dynamic thresholding (Saharia et al. 2022, section 2.3): with s the larger of 1 and the
// `quantile` of |x| within a sample,
//   y[n] = min(max(x[n], -s), s) / s
// so that a sample is never cut harder than its own spread asks for. The quantile lies linearly
// between the two order statistics around (elements - 1) * quantile. Sampling only, no gradient.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// x (N, ...) f32 or f64, quantile in [0, 1] -> shape of x
Tensor dynamic_threshold(const Tensor& x, double quantile);

DDPM_KERNEL(void dynamic_threshold_forward(const Tensor& x, double quantile, Tensor& y));

// Where a quantile lies among `count` sorted values.
struct QuantilePlace {
  QuantilePlace(double quantile, int64_t count) {
    const double place = quantile * static_cast<double>(count - 1);
    below = static_cast<int64_t>(place);
    above = below + 1 < count ? below + 1 : below;
    share = place - static_cast<double>(below);
  }
  int64_t below, above;
  double share;  // of the one above
};

}  // namespace ddpm
