#include "experiments/metrics/inception_space.h"

#include <algorithm>

#include "experiments/runner/sampling.h"
#include "framework/io/tensor_file.h"
#include "layers/inception_weights.h"

namespace ddpm {
namespace {

constexpr int64_t kBatch = 16;  // images; features do not depend on it

}  // namespace

InceptionSpace::InceptionSpace(const std::string& weights, InceptionResize resize,
                               const Dataset& dataset, Device device)
    : resize_(resize),
      image_shape_(dataset.image_shape),
      levels_(dataset.levels),
      device_(device),
      network_(Scope(parameters_)) {
  const int64_t channels = image_shape_[2];
  DDPM_CHECK(levels_ > 0 && (channels == 1 || channels == 3),
             "Inception sees images of 1 or 3 channels in grey levels; data '{}' are {} of {}",
             dataset.name, image_shape_,
             levels_ > 0 ? fmt::format("{} grey levels", levels_) : "continuous values");
  parameters_.allocate(DType::kF32, device, /*seed=*/0);
  fold_inception_weights(read_tensor_file(weights), parameters_);
  weights_sha256_ = weights_digest(parameters_);
}

ImageFeatures InceptionSpace::features(const Split& images) const {
  const int64_t pixels = image_shape_[0] * image_shape_[1], channels = image_shape_[2];
  ImageFeatures all{
      Tensor::empty({images.count, Inception::kFeatures}, DType::kF32, Device::kCpu),
      Tensor::empty({images.count, Inception::kClasses}, DType::kF32, Device::kCpu),
      Tensor::empty({images.count, Inception::kSpatialFeatures}, DType::kF32, Device::kCpu)};
  for (int64_t begin = 0; begin < images.count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, images.count);
    Tensor shown =
        Tensor::empty(image_shape_.with_inner(3).batch_of(end - begin), DType::kF32, Device::kCpu);
    const uint8_t* from = images.pixels.data() + begin * pixels * channels;
    float* to = shown.data<float>();
    for (int64_t i = 0; i < (end - begin) * pixels * 3; ++i)
      to[i] = display_level(channels == 3 ? from[i] : from[i / 3], levels_);
    const Tensor resized = inception_input(shown, resize_);
    Tensor x = Tensor::empty(resized.shape(), DType::kF32, device_);
    x.copy_from_host(resized.raw());
    const InceptionFeatures f = network_(x);
    f.pool.copy_to_host(all.features.slice(begin, end).raw());
    f.logits.copy_to_host(all.logits.slice(begin, end).raw());
    f.spatial.copy_to_host(all.spatial.slice(begin, end).raw());
  }
  return all;
}

}  // namespace ddpm
