#include "layers/blocks.h"

#include "framework/ops/attention.h"
#include "framework/ops/concat.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/embedding.h"
#include "framework/ops/linear.h"
#include "framework/ops/resample.h"
#include "framework/ops/timestep.h"
#include "framework/ops/upsample_conv2d.h"
#include "framework/ops/view.h"

namespace ddpm {

TimeEmbedding::TimeEmbedding(const Scope& scope, int64_t base)
    : base_channels(base),
      dense_0(scope / "dense_0", base, 4 * base),
      dense_1(scope / "dense_1", 4 * base, 4 * base) {}

Tensor TimeEmbedding::operator()(const Tensor& t, DType dtype) const {
  return dense_1(silu(dense_0(timestep_embedding(t, base_channels, dtype))));
}

ClassEmbedding::ClassEmbedding(const Scope& scope, int64_t classes, int64_t channels)
    : weight(scope.parameter("weight", {classes + 1, channels}, Init::variance_scaling(1))) {}

Tensor ClassEmbedding::operator()(const Tensor& labels) const { return embedding(weight, labels); }

Tensor activated_embedding(const Tensor& time, const std::optional<ClassEmbedding>& classes,
                           const Tensor& labels) {
  DDPM_ASSERT(classes.has_value() == static_cast<bool>(labels),
              "labels {} of a network that {} classes", static_cast<bool>(labels),
              classes ? "knows" : "knows no");
  return silu(classes ? add(time, (*classes)(labels)) : time);
}

ResidualBlock::ResidualBlock(const Scope& scope, int64_t in, int64_t out,
                             int64_t embedding_channels, double rate, int64_t norm_groups)
    : norm_1(scope / "norm_1", in, norm_groups),
      conv_1(scope / "conv_1", in, out),
      time_projection(scope / "time_projection", embedding_channels, out),
      norm_2(scope / "norm_2", out, norm_groups),
      conv_2(scope / "conv_2", out, out, /*init_scale=*/0),
      dropout_rate(rate) {
  if (in != out) shortcut.emplace(scope / "shortcut", in, out);
}

Tensor ResidualBlock::operator()(const NormInput& x, const Tensor& activated,
                                 const DropoutSource* dropout) const {
  const Tensor h =
      conv_1(norm_1.then_silu(x), {.per_sample = time_projection(activated), .feeds_norm = true});
  return conv_2(norm_2.then_silu(h, dropout_rate, dropout),
                {.residual = residual(x), .feeds_norm = true});
}

// What was never joined has its weights cut at the seam.
Tensor ResidualBlock::residual(const NormInput& x) const {
  if (!x.skip) return shortcut ? (*shortcut)(x.x) : x.x;
  if (!shortcut) return concat_channels(x.x, x.skip);
  const auto [of_x, of_skip] = split_channels(shortcut->weight, x.x.shape()[3]);
  return linear(x.skip, of_skip, {}, linear(x.x, of_x, shortcut->bias));
}

AttentionBlock::AttentionBlock(const Scope& scope, int64_t channels, int head_count,
                               int64_t norm_groups)
    : norm(scope / "norm", channels, norm_groups),
      query(scope / "query", channels, channels),
      key(scope / "key", channels, channels),
      value(scope / "value", channels, channels),
      output(scope / "output", channels, channels, /*init_scale=*/0),
      heads(head_count) {}

Tensor AttentionBlock::operator()(const Tensor& x) const {
  const Shape& s = x.shape();
  const Tensor h = reshape(norm(x), {s[0], s[1] * s[2], s[3]});
  const Tensor attended = attention(query(h), key(h), value(h), heads);
  return output(reshape(attended, s), x, /*feeds_norm=*/true);
}

Downsample::Downsample(const Scope& scope, int64_t channels, DownsampleKind kind) {
  if (kind == DownsampleKind::kStridedConv) conv.emplace(scope, channels, channels, 1, 2);
}

Tensor Downsample::operator()(const Tensor& x) const {
  return conv ? (*conv)(x, {.feeds_norm = true}) : average_pool(x);
}

Upsample::Upsample(const Scope& scope, int64_t channels, UpsampleKind upsample_kind)
    : kind(upsample_kind),
      conv(scope, channels, channels, 1, kind == UpsampleKind::kTransposedConv ? 2 : 1) {}

Tensor Upsample::operator()(const Tensor& x) const {
  if (kind == UpsampleKind::kTransposedConv)
    return conv2d_transpose(x, conv.weight, conv.bias, conv.geometry, /*feeds_norm=*/true);
  return upsample_conv2d(x, conv.weight, conv.bias, /*feeds_norm=*/true);
}

}  // namespace ddpm
