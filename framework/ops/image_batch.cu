// CUDA kernels of image_batch.h: one thread per element of the batch.
#include "framework/cuda/launch.cuh"
#include "framework/ops/image_batch.h"

namespace ddpm::cuda {
namespace {

struct ImageExtents {
  int64_t size, width, channels;
};

struct FromLevels {
  int levels;
  template <class T>
  __device__ T convert(uint8_t pixel) const {
    return static_cast<T>(pixel) * (T(2) / static_cast<T>(levels - 1)) - T(1);
  }
  template <class T>
  __device__ T convert(float value) const {
    return static_cast<T>(value);
  }
};

template <class From, class To>
__global__ void gather_images_kernel(ImageExtents image, int64_t count, const From* images,
                                     const int32_t* indices, const int32_t* flip, FromLevels from,
                                     To* y) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const int64_t n = i / image.size, element = i % image.size;
  const int64_t w = element / image.channels % image.width;
  const int64_t mirrored = element + (image.width - 1 - 2 * w) * image.channels;
  const int64_t source = flip && flip[n] ? mirrored : element;
  y[i] = from.convert<To>(images[indices[n] * image.size + source]);
}

__global__ void gather_labels_kernel(const int32_t* labels, const int32_t* indices, int32_t* y,
                                     int64_t count) {
  const int64_t i = global_thread();
  if (i < count) y[i] = labels[indices[i]];
}

__global__ void withhold_labels_kernel(const int32_t* labels, const float* draws, float rate,
                                       int32_t other, int32_t* y, int64_t count) {
  const int64_t i = global_thread();
  if (i < count) y[i] = draws[i] < rate ? other : labels[i];
}

}  // namespace

void gather_images_forward(const Tensor& images, const Tensor& indices, const Tensor& flip,
                           int levels, Tensor& y) {
  const Shape& s = y.shape();
  const ImageExtents image{s[1] * s[2] * s[3], s[2], s[3]};
  const int32_t* mirror = flip ? flip.data<int32_t>() : nullptr;
  DDPM_FLOATS(y.dtype(), T, {
    const auto gather = [&](const auto* pixels) {
      launch(gather_images_kernel<std::remove_cvref_t<decltype(*pixels)>, T>, blocks_for(y.numel()),
             kThreads, 0, image, y.numel(), pixels, indices.data<int32_t>(), mirror,
             FromLevels{levels}, y.data<T>());
    };
    if (images.dtype() == DType::kU8)
      gather(images.data<uint8_t>());
    else
      gather(images.data<float>());
  });
}

void gather_labels_forward(const Tensor& labels, const Tensor& indices, Tensor& y) {
  launch(gather_labels_kernel, blocks_for(y.numel()), kThreads, 0, labels.data<int32_t>(),
         indices.data<int32_t>(), y.data<int32_t>(), y.numel());
}

void withhold_labels_forward(const Tensor& labels, double rate, int32_t other,
                             const RandomStream& stream, Tensor& y) {
  Tensor draws = Tensor::empty(labels.shape(), DType::kF32, Device::kCuda);
  uniform(stream, 0, 1, draws);
  launch(withhold_labels_kernel, blocks_for(y.numel()), kThreads, 0, labels.data<int32_t>(),
         draws.data<float>(), static_cast<float>(rate), other, y.data<int32_t>(), y.numel());
}

}  // namespace ddpm::cuda
