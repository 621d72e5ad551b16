#include "framework/core/tensor.h"

#include "framework/core/memory.h"
#include "framework/core/pool.h"

namespace ddpm {

Tensor Tensor::empty(Shape shape, DType dtype, Device device) {
  Tensor t;
  t.storage_ = allocate(device, static_cast<size_t>(shape.numel()) * size_of(dtype));
  t.slot_ = std::make_shared<GradSlot>(GradSlot{shape, false, {}, {}});
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.device_ = device;
  return t;
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  memory::zero(device, t.raw(), t.bytes());
  return t;
}

Tensor Tensor::view(int64_t offset, Shape shape) const {
  DDPM_ASSERT(offset >= 0 && offset + shape.numel() <= numel(), "view {} at {} of a tensor {}",
              shape, offset, shape_);
  Tensor t = *this;
  t.offset_ += static_cast<size_t>(offset) * size_of(dtype_);
  t.shape_ = shape;
  t.slot_ = std::make_shared<GradSlot>(GradSlot{shape, false, {}, {}});
  return t;
}

Tensor Tensor::reshape(Shape shape) const {
  DDPM_CHECK(shape.numel() == numel(), "reshape: {} has {} elements, {} has {}", shape_, numel(),
             shape, shape.numel());
  return view(0, shape);
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  DDPM_CHECK(shape_.rank() > 0 && 0 <= begin && begin <= end && end <= shape_[0],
             "slice: [{}, {}) of a tensor {}", begin, end, shape_);
  const int64_t row = shape_[0] == 0 ? 0 : numel() / shape_[0];
  return view(begin * row, shape_.with_outer(end - begin));
}

Tensor Tensor::detach() const { return view(0, shape_); }

void Tensor::copy_from(const Tensor& source) {
  DDPM_ASSERT(!slot_->moments && !slot_->position_sums,
              "a tensor {} whose statistics are known is overwritten", shape_);
  DDPM_ASSERT(source.shape() == shape_ && source.dtype() == dtype_ && source.device() == device_,
              "{} {} on {} is copied into {} {} on {}", name_of(source.dtype()), source.shape(),
              name_of(source.device()), name_of(dtype_), shape_, name_of(device_));
  memory::copy(device_, raw(), source.raw(), bytes());
}

void Tensor::copy_from_host(const void* source) {
  DDPM_ASSERT(!slot_->moments && !slot_->position_sums,
              "a tensor {} whose statistics are known is overwritten", shape_);
  memory::copy_from_host(device_, raw(), source, bytes());
}

void Tensor::copy_to_host(void* destination) const {
  memory::copy_to_host(device_, destination, raw(), bytes());
}

}  // namespace ddpm
