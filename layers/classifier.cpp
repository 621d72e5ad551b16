#include "layers/classifier.h"

#include "framework/ops/reduce.h"

namespace ddpm {
namespace {

std::vector<Classifier::Stage> build_stages(const Scope& scope, const ClassifierOptions& options,
                                            const Shape& image) {
  const size_t halvings = options.channels.size() - (options.first_stride == 1 ? 1 : 0);
  const int64_t divisor = int64_t{1} << halvings;
  DDPM_CHECK(image[0] % divisor == 0 && image[1] % divisor == 0,
             "classifier: {} stages halve images {} times, {}x{} cannot be divided by {}",
             options.channels.size(), halvings, image[0], image[1], divisor);
  std::vector<Classifier::Stage> stages;
  int64_t in = image[2];
  for (const int64_t out : options.channels) {
    const Scope at = scope / fmt::format("stage_{}", stages.size());
    const int stride = stages.empty() ? static_cast<int>(options.first_stride) : 2;
    stages.push_back({{at / "conv", in, out, /*init_scale=*/1, stride}, {at / "norm", out}});
    in = out;
  }
  return stages;
}

}  // namespace

ClassifierOptions::ClassifierOptions(const Config& config) {
  channels = config.integers("channels", channels, 4, 4096,
                             "of each stage; the last is the dimension of the features");
  first_stride = config.integer("first_stride", first_stride, 1, 2, "of the first convolution");
  constexpr size_t kMaxStages = 12;
  if (channels.empty() || channels.size() > kMaxStages) {
    config.error("channels",
                 fmt::format("must have 1 to {} stages, found {}", kMaxStages, channels.size()));
    channels = {4};
  }
}

Classifier::Classifier(const Scope& scope, const ClassifierOptions& options, const Shape& image,
                       int64_t classes)
    : image_shape(image),
      stages(build_stages(scope, options, image)),
      dense(scope / "dense", options.channels.back(), classes) {}

Tensor Classifier::features(const Tensor& x) const {
  const Shape expected{x.shape()[0], image_shape[0], image_shape[1], image_shape[2]};
  DDPM_CHECK(x.shape() == expected, "classifier: images {}, expected {}", x.shape(), expected);
  Tensor h = x;
  for (const Stage& stage : stages) h = stage.norm.then_silu(stage.conv(h, {.feeds_norm = true}));
  return spatial_mean(h);
}

Tensor Classifier::logits(const Tensor& x) const { return logits_of(features(x)); }

}  // namespace ddpm
