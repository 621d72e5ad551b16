#include "layers/basic.h"

#include <algorithm>

#include "framework/ops/linear.h"

namespace ddpm {

// Groups of a single channel would subtract the time embedding, which is constant over positions,
// and the network would not see t: at least four channels share a group where there are as many.
int64_t default_norm_groups(int64_t channels) {
  int64_t groups = std::clamp<int64_t>(channels / 4, 1, 32);
  while (channels % groups != 0) --groups;
  return groups;
}

Linear::Linear(const Scope& scope, int64_t in, int64_t out, double init_scale)
    : weight(scope.parameter("weight", {out, in}, Init::variance_scaling(init_scale))),
      bias(scope.parameter("bias", {out}, Init::constant(0))) {}

Tensor Linear::operator()(const Tensor& x, const Tensor& residual, bool feeds_norm) const {
  return linear(x, weight, bias, residual, feeds_norm);
}

Conv3x3::Conv3x3(const Scope& scope, int64_t in, int64_t out, double init_scale, int stride)
    : weight(scope.parameter("weight", {out, 3, 3, in}, Init::variance_scaling(init_scale))),
      bias(scope.parameter("bias", {out}, Init::constant(0))),
      geometry(Conv2dGeometry::same(3, stride)) {}

Tensor Conv3x3::operator()(const Tensor& x, const Conv2dEpilogue& epilogue) const {
  return conv2d(x, weight, bias, geometry, epilogue);
}

GroupNorm::GroupNorm(const Scope& scope, int64_t channels, int64_t norm_groups)
    : weight(scope.parameter("weight", {channels}, Init::constant(1))),
      bias(scope.parameter("bias", {channels}, Init::constant(0))),
      groups(static_cast<int>(norm_groups > 0 ? norm_groups : default_norm_groups(channels))),
      dropout_site(scope.random_site("dropout")) {}

Tensor GroupNorm::operator()(const Tensor& x) const {
  return group_norm(x, weight, bias, {.groups = groups});
}

Tensor GroupNorm::then_silu(const NormInput& input, double rate,
                            const DropoutSource* dropout) const {
  GroupNormOptions options{.groups = groups, .silu = true};
  if (dropout && rate > 0) {
    options.dropout = rate;
    options.stream = {dropout->seed, dropout_site, dropout->counter};
  }
  return group_norm(input, weight, bias, options);
}

}  // namespace ddpm
