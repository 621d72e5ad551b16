#include "layers/unet_classifier.h"

#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"

namespace ddpm {

std::unique_ptr<Denoiser> UNetClassifierOptions::build(const Scope& scope,
                                                       const ImageGeometry& image) const {
  return std::make_unique<UNetClassifier>(scope, *this, image);
}

UNetClassifier::UNetClassifier(const Scope& scope, const UNetClassifierOptions& options,
                               const ImageGeometry& image)
    : encoder_(scope, options, image),
      norm_out_(scope / "norm_out", encoder_.channels(), options.norm_groups),
      dense_out_(scope / "dense_out", encoder_.channels(), image.output_channels,
                 /*init_scale=*/0) {}

Tensor UNetClassifier::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                                  const DropoutSource* dropout) const {
  const Tensor h = norm_out_.then_silu(encoder_(x, t, labels, dropout).h);
  return cast(dense_out_(spatial_mean(h)), x.dtype());
}

}  // namespace ddpm
