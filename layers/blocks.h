// The blocks of the DDPM U-Net (Ho et al. 2020, appendix B): every shape is (N, H, W, C).
#pragma once

#include <optional>
#include <string>

#include "layers/basic.h"

namespace ddpm {

// t -> sinusoid(t) -> dense -> silu -> dense; no activation at the end. (N) i32 -> (N, 4 * base)
struct TimeEmbedding {
  TimeEmbedding(const Scope& scope, int64_t base_channels);
  Tensor operator()(const Tensor& t, DType dtype) const;

  int64_t base_channels;
  Linear dense_0, dense_1;
};

// A row for each class and one more for none of them, to be added to the time embedding (Dhariwal &
// Nichol 2021). (N) i32 -> (N, channels)
struct ClassEmbedding {
  ClassEmbedding(const Scope& scope, int64_t classes, int64_t channels);
  Tensor operator()(const Tensor& labels) const;

  Parameter weight;  // (classes + 1, channels)
};

// What the blocks are told: silu of the time embedding, plus that of the class where there is one.
// -> (N, E)
Tensor activated_embedding(const Tensor& time, const std::optional<ClassEmbedding>& classes,
                           const Tensor& labels);

// h = conv_1(silu(norm_1(x))) + time_projection(silu(embedding))
// y = shortcut(x) + conv_2(dropout(silu(norm_2(h))));  the shortcut is 1x1, or the identity
struct ResidualBlock {
  ResidualBlock(const Scope& scope, int64_t in, int64_t out, int64_t embedding_channels,
                double dropout_rate, int64_t norm_groups = 0);
  // x (N, H, W, in) in one part or two, activated = silu(embedding) (N, E) -> (N, H, W, out)
  Tensor operator()(const NormInput& x, const Tensor& activated,
                    const DropoutSource* dropout) const;

  GroupNorm norm_1;
  Conv3x3 conv_1;
  Linear time_projection;
  GroupNorm norm_2;
  Conv3x3 conv_2;
  std::optional<Linear> shortcut;
  double dropout_rate;

 private:
  Tensor residual(const NormInput& x) const;
};

// y = x + output(attention(query(h), key(h), value(h))) with h = norm(x), over all H * W positions
struct AttentionBlock {
  AttentionBlock(const Scope& scope, int64_t channels, int heads, int64_t norm_groups = 0);
  Tensor operator()(const Tensor& x) const;

  GroupNorm norm;
  Linear query, key, value, output;
  int heads;
};

enum class DownsampleKind { kStridedConv, kAveragePool };
enum class UpsampleKind { kNearestConv, kTransposedConv };

// (N, H, W, C) -> (N, H / 2, W / 2, C): a stride-2 'SAME' convolution, or a 2x2 mean
struct Downsample {
  Downsample(const Scope& scope, int64_t channels, DownsampleKind kind);
  Tensor operator()(const Tensor& x) const;

  std::optional<Conv3x3> conv;
};

// (N, H, W, C) -> (N, 2 H, 2 W, C): nearest neighbour and a convolution, or the adjoint of the
// stride-2 'SAME' convolution
struct Upsample {
  Upsample(const Scope& scope, int64_t channels, UpsampleKind kind);
  Tensor operator()(const Tensor& x) const;

  UpsampleKind kind;
  Conv3x3 conv;
};

}  // namespace ddpm
