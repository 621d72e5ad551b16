// A residual multi-layer perceptron for points and other small vectors: the image is flattened.
//
//   h = dense_in(x) ;  h = h + dense(silu(h) + time_projection(silu(embedding)))  per block
//   y = dense_out(silu(h))
#pragma once

#include <vector>

#include "layers/blocks.h"
#include "layers/denoiser.h"

namespace ddpm {

struct MlpOptions : DenoiserOptions {
  int64_t hidden_channels = 128;
  int64_t blocks = 3;

  MlpOptions() = default;
  explicit MlpOptions(const Config& config);
  std::unique_ptr<Denoiser> build(const Scope& scope, const ImageGeometry& image) const override;
};

class Mlp : public Denoiser {
 public:
  Mlp(const Scope& scope, const MlpOptions& options, const ImageGeometry& image);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels = {},
                    const DropoutSource* dropout = nullptr) const override;

 private:
  struct Block {
    Linear time_projection, dense;
  };

  ImageGeometry image_;
  TimeEmbedding time_embedding_;
  std::optional<ClassEmbedding> class_embedding_;
  Linear dense_in_;
  std::vector<Block> blocks_;
  std::optional<Linear> dense_out_;
};

}  // namespace ddpm
