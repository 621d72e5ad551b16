#include "layers/mlp.h"

#include "framework/ops/elementwise.h"
#include "framework/ops/view.h"

namespace ddpm {
namespace {

int64_t pixels(const ImageGeometry& image) { return image.height * image.width; }

}  // namespace

MlpOptions::MlpOptions(const Config& config) {
  hidden_channels = config.integer("hidden_channels", hidden_channels, 8, 16384, "width");
  blocks = config.integer("blocks", blocks, 1, 64, "residual blocks");
}

std::unique_ptr<Denoiser> MlpOptions::build(const Scope& scope, const ImageGeometry& image) const {
  return std::make_unique<Mlp>(scope, *this, image);
}

Mlp::Mlp(const Scope& scope, const MlpOptions& options, const ImageGeometry& image)
    : image_(image),
      time_embedding_(scope / "time_embedding", options.hidden_channels),
      dense_in_(scope / "dense_in", pixels(image) * image.channels, options.hidden_channels) {
  const int64_t hidden = options.hidden_channels;
  if (image.classes > 0)
    class_embedding_.emplace(scope / "class_embedding", image.classes, 4 * hidden);
  for (int64_t i = 0; i < options.blocks; ++i) {
    const Scope at = scope / fmt::format("block_{}", i);
    blocks_.push_back(
        {{at / "time_projection", 4 * hidden, hidden}, {at / "dense", hidden, hidden}});
  }
  dense_out_.emplace(scope / "dense_out", hidden, pixels(image) * image.output_channels,
                     /*init_scale=*/0);
}

Tensor Mlp::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                       const DropoutSource*) const {
  const int64_t samples = x.shape()[0];
  const Shape expected{samples, image_.height, image_.width, image_.channels};
  DDPM_CHECK(x.shape() == expected, "mlp: x {} for a network of images {}", x.shape(), expected);
  const DType compute_type = dense_in_.weight.dtype();
  const Tensor activated =
      activated_embedding(time_embedding_(t, compute_type), class_embedding_, labels);
  Tensor h = dense_in_(cast(reshape(x, {samples, x.numel() / samples}), compute_type));
  for (const Block& block : blocks_) h = block.dense(block.time_projection(activated, silu(h)), h);
  const Tensor y = cast((*dense_out_)(silu(h)), x.dtype());
  return reshape(y, expected.with_inner(image_.output_channels));
}

}  // namespace ddpm
