#include "framework/ops/image_batch.h"

#include "framework/cpu/parallel.h"

namespace ddpm {

Tensor gather_images(const Tensor& images, const Tensor& indices, const Tensor& flip, int levels,
                     DType dtype) {
  const Shape& s = images.shape();
  DDPM_CHECK(s.rank() == 4, "gather_images: images {} are not (M, H, W, C)", s);
  DDPM_CHECK(images.dtype() == DType::kU8 ? levels >= 2 : images.dtype() == DType::kF32,
             "gather_images: {} images with {} levels; u8 with at least 2 levels or f32 expected",
             name_of(images.dtype()), levels);
  DDPM_CHECK(!flip || flip.shape() == indices.shape(), "gather_images: flip {} for indices {}",
             flip.shape(), indices.shape());
  Tensor y = Tensor::empty(s.with_outer(indices.numel()), dtype, images.device());
  DDPM_DISPATCH(images.device(), gather_images_forward(images, indices, flip, levels, y));
  return y;
}

Tensor gather_labels(const Tensor& labels, const Tensor& indices) {
  DDPM_CHECK(labels.shape().rank() == 1, "gather_labels: labels {} are not (M)", labels.shape());
  Tensor y = Tensor::empty(indices.shape(), DType::kI32, labels.device());
  DDPM_DISPATCH(labels.device(), gather_labels_forward(labels, indices, y));
  return y;
}

Tensor withhold_labels(const Tensor& labels, double rate, int32_t other,
                       const RandomStream& stream) {
  DDPM_CHECK(labels.dtype() == DType::kI32 && labels.shape().rank() == 1,
             "withhold_labels: labels are {} {}, not (N) i32", name_of(labels.dtype()),
             labels.shape());
  DDPM_CHECK(0 <= rate && rate <= 1, "withhold_labels: the rate {} is not in [0, 1]", rate);
  Tensor y = Tensor::like(labels);
  DDPM_DISPATCH(labels.device(), withhold_labels_forward(labels, rate, other, stream, y));
  return y;
}

namespace cpu {
namespace {

template <class From, class To, class Convert>
void gather(const Tensor& images, const Tensor& indices, const Tensor& flip, Tensor& y,
            Convert convert) {
  const int64_t width = y.shape()[2], channels = y.shape()[3];
  const int64_t row = width * channels, image = y.shape()[1] * row;
  const From* in = images.data<From>();
  To* out = y.data<To>();
  const int32_t* index = indices.data<int32_t>();
  const int32_t* mirrored = flip ? flip.data<int32_t>() : nullptr;
  parallel_for(indices.numel(), [&](int64_t n) {
    const From* from = in + index[n] * image;
    To* to = out + n * image;
    for (int64_t i = 0; i < image; ++i) {
      const int64_t w = i / channels % width;
      const int64_t source = mirrored && mirrored[n] ? i + (width - 1 - 2 * w) * channels : i;
      to[i] = convert(from[source]);
    }
  });
}

}  // namespace

void gather_images_forward(const Tensor& images, const Tensor& indices, const Tensor& flip,
                           int levels, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    if (images.dtype() == DType::kU8) {
      const T step = T(2) / static_cast<T>(levels - 1);
      gather<uint8_t, T>(images, indices, flip, y,
                         [step](uint8_t p) { return static_cast<T>(p) * step - T(1); });
    } else {
      gather<float, T>(images, indices, flip, y, [](float v) { return static_cast<T>(v); });
    }
  });
}

void gather_labels_forward(const Tensor& labels, const Tensor& indices, Tensor& y) {
  for (int64_t n = 0; n < y.numel(); ++n)
    y.data<int32_t>()[n] = labels.data<int32_t>()[indices.data<int32_t>()[n]];
}

void withhold_labels_forward(const Tensor& labels, double rate, int32_t other,
                             const RandomStream& stream, Tensor& y) {
  Tensor draws = Tensor::empty(labels.shape(), DType::kF32, Device::kCpu);
  uniform(stream, 0, 1, draws);
  for (int64_t n = 0; n < y.numel(); ++n)
    y.data<int32_t>()[n] =
        draws.data<float>()[n] < static_cast<float>(rate) ? other : labels.data<int32_t>()[n];
}

}  // namespace cpu
}  // namespace ddpm
