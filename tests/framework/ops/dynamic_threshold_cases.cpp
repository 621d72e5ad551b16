// Cases of framework/ops/dynamic_threshold.h. Only sampling uses it, in the process's own type.
#include <algorithm>
#include <cmath>

#include "framework/ops/dynamic_threshold.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

// Sorts, where the op selects.
Tensor reference(const Tensor& x, double quantile) {
  Tensor y = Tensor::like(x);
  const int64_t samples = x.shape()[0], size = x.numel() / samples;
  for (int64_t n = 0; n < samples; ++n) {
    const double* in = x.data<double>() + n * size;
    std::vector<double> sorted(in, in + size);
    for (double& v : sorted) v = std::abs(v);
    std::sort(sorted.begin(), sorted.end());
    const double place = quantile * static_cast<double>(size - 1);
    const auto below = static_cast<size_t>(std::floor(place)),
               above = static_cast<size_t>(std::ceil(place));
    const double share = place - std::floor(place);
    const double s = std::max(1.0, (1 - share) * sorted[below] + share * sorted[above]);
    for (int64_t i = 0; i < size; ++i)
      y.data<double>()[n * size + i] = std::clamp(in[i], -s, s) / s;
  }
  return y;
}

DDPM_OP_CASE(
    DynamicThreshold, .inputs = {{{5, 7, 3, 3}, -3, 3, false}},
    .run = [](const Tensors& in) { return dynamic_threshold(in[0], 0.9); },
    .reference = [](const Tensors& in) { return reference(in[0], 0.9); }, .bf16_tolerance = 0,
    .bench_shapes = {{128, 32, 32, 3}});
// Nothing beyond 1: as it was.
DDPM_OP_CASE(
    DynamicThresholdInside, .inputs = {{{3, 50}, -0.9, 0.9, false}},
    .run = [](const Tensors& in) { return dynamic_threshold(in[0], 0.5); },
    .reference = [](const Tensors& in) { return in[0]; }, .bf16_tolerance = 0);
DDPM_OP_CASE(
    DynamicThresholdLargest, .inputs = {{{2, 300}, -5, 5, false}},
    .run = [](const Tensors& in) { return dynamic_threshold(in[0], 1); },
    .reference = [](const Tensors& in) { return reference(in[0], 1); }, .bf16_tolerance = 0);
DDPM_OP_CASE(
    DynamicThresholdOfOne, .inputs = {{{4, 1}, -5, 5, false}},
    .run = [](const Tensors& in) { return dynamic_threshold(in[0], 0.3); },
    .reference = [](const Tensors& in) { return reference(in[0], 0.3); }, .bf16_tolerance = 0);

DDPM_ERROR_CASE(
    DynamicThresholdQuantile,
    .run =
        [] {
          dynamic_threshold(Tensor::zeros({2, 3}, DType::kF32, Device::kCpu), 1.5);
        },
    .message = "dynamic_threshold: quantile 1.5 is not in [0, 1]");

}  // namespace
}  // namespace ddpm::testing
