#include "layers/inception.h"

#include <string>

#include "framework/ops/concat.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/linear.h"
#include "framework/ops/pool.h"
#include "framework/ops/reduce.h"
#include "framework/ops/view.h"

namespace ddpm {
namespace {

using Kernel = ConvRelu::Kernel;

// PyTorch counts blocks from the resolution they work at, TensorFlow from zero: mixed_6 is
// Mixed_6d.
constexpr size_t kSpatialBlock = 6;
constexpr int64_t kSpatialChannels = 7;

constexpr Kernel k1x1{1, 1}, k3x3{3, 3}, k5x5{5, 5};
constexpr Kernel k1x7{1, 7}, k7x1{7, 1}, k1x3{1, 3}, k3x1{3, 1};
constexpr Kernel kValid{3, 3, false}, kDown{3, 3, false, 2};
constexpr PoolGeometry kPoolDown{3, 2, 0}, kPoolSame{3, 1, 1};

Conv2dGeometry geometry_of(const Kernel& k) {
  const int rows = k.padded ? static_cast<int>(k.rows / 2) : 0;
  const int columns = k.padded ? static_cast<int>(k.columns / 2) : 0;
  return {k.stride, rows, columns, rows, columns};
}

}  // namespace

ConvRelu::ConvRelu(const Scope& scope, int64_t in, int64_t out, Kernel kernel)
    : weight(scope.parameter("weight", {out, kernel.rows, kernel.columns, in},
                             Init::variance_scaling(1))),
      bias(scope.parameter("bias", {out}, Init::constant(0))),
      geometry(geometry_of(kernel)) {}

Tensor ConvRelu::operator()(const Tensor& x) const {
  return relu(conv2d(x, weight, bias, geometry));
}

Tensor Inception::Branch::operator()(const Tensor& x) const {
  Tensor h = x;
  switch (pool) {
    case Pool::kNone: break;
    case Pool::kMean: h = mean_pool(x, kPoolSame); break;
    case Pool::kMax: h = max_pool(x, kPoolSame); break;
    case Pool::kMaxDown: h = max_pool(x, kPoolDown); break;
  }
  for (const ConvRelu& conv : convs) h = conv(h);
  return pair.empty() ? h : concat_channels(pair[0](h), pair[1](h));
}

Tensor Inception::Block::operator()(const Tensor& x) const {
  Tensor y;
  for (const Branch& branch : branches) y = y ? concat_channels(y, branch(x)) : branch(x);
  return y;
}

// The blocks by the letters of the PyTorch ports; order and names of the branches are theirs, too.
struct Inception::Builder {
  struct Step {
    const char* name;
    int64_t channels;
    Kernel kernel = k1x1;
  };
  using Pool = Branch::Pool;

  Scope scope;
  int64_t in;

  Branch branch(const std::vector<Step>& steps, Pool pool = Pool::kNone,
                const std::vector<Step>& pair = {}) const {
    Branch b{pool, {}};
    int64_t channels = in;
    for (const Step& s : steps) {
      b.convs.emplace_back(scope / s.name, channels, s.channels, s.kernel);
      channels = s.channels;
    }
    for (const Step& s : pair) b.pair.emplace_back(scope / s.name, channels, s.channels, s.kernel);
    return b;
  }

  Block a(int64_t pooled) const {
    return {
        {branch({{"branch1x1", 64}}), branch({{"branch5x5_1", 48}, {"branch5x5_2", 64, k5x5}}),
         branch(
             {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, k3x3}, {"branch3x3dbl_3", 96, k3x3}}),
         branch({{"branch_pool", pooled}}, Pool::kMean)}};
  }
  Block b() const {
    return {
        {branch({{"branch3x3", 384, kDown}}),
         branch(
             {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, k3x3}, {"branch3x3dbl_3", 96, kDown}}),
         branch({}, Pool::kMaxDown)}};
  }
  Block c(int64_t width) const {
    return {
        {branch({{"branch1x1", 192}}),
         branch({{"branch7x7_1", width}, {"branch7x7_2", width, k1x7}, {"branch7x7_3", 192, k7x1}}),
         branch({{"branch7x7dbl_1", width},
                 {"branch7x7dbl_2", width, k7x1},
                 {"branch7x7dbl_3", width, k1x7},
                 {"branch7x7dbl_4", width, k7x1},
                 {"branch7x7dbl_5", 192, k1x7}}),
         branch({{"branch_pool", 192}}, Pool::kMean)}};
  }
  Block d() const {
    return {{branch({{"branch3x3_1", 192}, {"branch3x3_2", 320, kDown}}),
             branch({{"branch7x7x3_1", 192},
                     {"branch7x7x3_2", 192, k1x7},
                     {"branch7x7x3_3", 192, k7x1},
                     {"branch7x7x3_4", 192, kDown}}),
             branch({}, Pool::kMaxDown)}};
  }
  Block e(Pool pool) const {
    return {{branch({{"branch1x1", 320}}),
             branch({{"branch3x3_1", 384}}, Pool::kNone,
                    {{"branch3x3_2a", 384, k1x3}, {"branch3x3_2b", 384, k3x1}}),
             branch({{"branch3x3dbl_1", 448}, {"branch3x3dbl_2", 384, k3x3}}, Pool::kNone,
                    {{"branch3x3dbl_3a", 384, k1x3}, {"branch3x3dbl_3b", 384, k3x1}}),
             branch({{"branch_pool", 192}}, pool)}};
  }
};

Inception::Inception(const Scope& scope)
    : stem_{{scope / "Conv2d_1a_3x3", 3, 32, kDown},
            {scope / "Conv2d_2a_3x3", 32, 32, kValid},
            {scope / "Conv2d_2b_3x3", 32, 64, k3x3},
            {scope / "Conv2d_3b_1x1", 64, 80, k1x1},
            {scope / "Conv2d_4a_3x3", 80, 192, kValid}},
      blocks_{Builder{scope / "Mixed_5b", 192}.a(32),
              Builder{scope / "Mixed_5c", 256}.a(64),
              Builder{scope / "Mixed_5d", 288}.a(64),
              Builder{scope / "Mixed_6a", 288}.b(),
              Builder{scope / "Mixed_6b", 768}.c(128),
              Builder{scope / "Mixed_6c", 768}.c(160),
              Builder{scope / "Mixed_6d", 768}.c(160),
              Builder{scope / "Mixed_6e", 768}.c(192),
              Builder{scope / "Mixed_7a", 768}.d(),
              Builder{scope / "Mixed_7b", 1280}.e(Branch::Pool::kMean),
              Builder{scope / "Mixed_7c", 2048}.e(Branch::Pool::kMax)},
      logits_(
          (scope / "fc").parameter("weight", {kClasses, kFeatures}, Init::variance_scaling(1))) {}

InceptionFeatures Inception::operator()(const Tensor& x) const {
  const Shape expected{x.shape().rank() > 0 ? x.shape()[0] : 0, kSide, kSide, 3};
  DDPM_CHECK(x.shape() == expected, "inception: images {}, expected {}", x.shape(), expected);
  Tensor h = max_pool(stem_[2](stem_[1](stem_[0](x))), kPoolDown);
  h = max_pool(stem_[4](stem_[3](h)), kPoolDown);
  InceptionFeatures features;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    // The first channels of a block are its first branch, a 1x1 convolution in mixed_6.
    h = blocks_[i](h);
    if (i == kSpatialBlock) features.spatial = split_channels(h, kSpatialChannels).first;
  }
  features.pool = spatial_mean(h);
  features.logits = linear(features.pool, logits_, {});
  return features;
}

}  // namespace ddpm
