// Inception-v3 as the FID and the Inception Score use it: the network of 2015-12-05 with 1008
// classes (Szegedy et al. 2016, section 6), at inference. It differs from later ones under the same
// name: the mean pools of its branches do not count padding, the last block pools the maximum, and
// the batch norms have an epsilon of 1e-3. They are folded into the convolutions when weights are
// read (inception_weights.h), so that every convolution here has a bias and no norm.
#pragma once

#include <vector>

#include "layers/basic.h"

namespace ddpm {

// relu(conv(x) + bias). (N, H, W, in) -> (N, P, Q, out)
struct ConvRelu {
  // Extents of the kernel, and whether half of each lies in padding ('SAME' at stride 1).
  struct Kernel {
    int64_t rows = 1, columns = 1;
    bool padded = true;
    int stride = 1;
  };
  ConvRelu(const Scope& scope, int64_t in, int64_t out, Kernel kernel);
  Tensor operator()(const Tensor& x) const;

  Parameter weight, bias;  // (out, rows, columns, in), (out)
  Conv2dGeometry geometry;
};

struct InceptionFeatures {
  Tensor pool;     // (N, 2048): means over positions of the last block, the features of FID and KID
  Tensor logits;   // (N, 1008): without the bias, as the Inception Score takes them
  Tensor spatial;  // (N, 17, 17, 7): first channels of TensorFlow's mixed_6/conv, for sFID
};

class Inception {
 public:
  static constexpr int64_t kSide = 299, kFeatures = 2048, kClasses = 1008;
  static constexpr int64_t kSpatialFeatures = 17 * 17 * 7;

  // Registers its parameters under the names of the PyTorch ports, with '/' for '.'.
  explicit Inception(const Scope& scope);

  // x (N, 299, 299, 3), the values of pixels mapped to [-1, 1]
  InceptionFeatures operator()(const Tensor& x) const;

 private:
  // A branch of a block: convolutions one after the other, behind a pool in some. The last may be a
  // pair that both see the one before, joined.
  struct Branch {
    enum class Pool { kNone, kMean, kMax, kMaxDown } pool = Pool::kNone;
    std::vector<ConvRelu> convs;
    std::vector<ConvRelu> pair = {};
    Tensor operator()(const Tensor& x) const;
  };
  struct Block {
    std::vector<Branch> branches;
    Tensor operator()(const Tensor& x) const;
  };
  struct Builder;

  std::vector<ConvRelu> stem_;
  std::vector<Block> blocks_;
  Parameter logits_;  // (1008, 2048)
};

}  // namespace ddpm
