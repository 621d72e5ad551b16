// Tensor: a contiguous, row-major block of elements on one device. Copies share storage.
//
// The gradient of a tensor does not live in the tensor but in its GradSlot. A backward closure
// that needs a tensor's values captures the tensor; one that needs only to deliver a gradient
// captures the slot, and the values can be freed early.
#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"

namespace ddpm {

// Its deleter gives the block back to the pool it came from.
using Storage = std::shared_ptr<std::byte>;

struct GradSlot;
using GradRef = std::shared_ptr<GradSlot>;

class Tensor {
 public:
  Tensor() = default;
  // Elements are uninitialised; memory comes from the current pool of the device.
  static Tensor empty(Shape shape, DType dtype, Device device);
  static Tensor zeros(Shape shape, DType dtype, Device device);
  static Tensor like(const Tensor& t) { return empty(t.shape(), t.dtype(), t.device()); }
  // A copy of host values on `device`, of element type T.
  template <class T>
  static Tensor from_host(const std::vector<T>& values, Shape shape, Device device);

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }

  // Views of the same storage. They have gradient slots of their own: outside recorded ops use
  // them freely, inside a differentiable computation use ops/view.h.
  Tensor reshape(Shape shape) const;
  Tensor slice(int64_t begin, int64_t end) const;  // of the outermost axis
  // `shape` elements starting at element `offset` of this tensor.
  Tensor view(int64_t offset, Shape shape) const;
  // The same values, cut off from the tape.
  Tensor detach() const;

  template <class T>
  T* data() const {
    DDPM_ASSERT(dtype_of<T> == dtype_, "a {} tensor is not {}", name_of(dtype_),
                name_of(dtype_of<T>));
    return reinterpret_cast<T*>(raw());
  }
  std::byte* raw() const { return storage_.get() + offset_; }
  bool shares_storage(const Tensor& other) const {
    return storage_ == other.storage_ && offset_ == other.offset_;
  }

  // The values of a tensor of the same shape and type on the same device, in the order of its
  // kernels: part of a step like any of them.
  void copy_from(const Tensor& source);
  // Blocking copies between this tensor and host memory; only experiments/ and tests call them.
  template <class T>
  std::vector<T> to_host() const;
  void copy_from_host(const void* source);
  void copy_to_host(void* destination) const;

  bool requires_grad() const;
  Tensor& set_requires_grad(bool on);
  const GradRef& slot() const { return slot_; }
  Tensor& grad() const;

 private:
  Storage storage_;
  GradRef slot_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::kF32;
  Device device_ = Device::kCpu;
};

struct GradSlot {
  Shape shape;
  bool requires_grad = false;
  Tensor grad;   // empty until the first contribution
  Tensor bound;  // where a parameter's gradient must end up; empty for everything else
  // What an op made of the values, kept for its next call: weights at inference in the layout of a
  // kernel. Only of tensors that require no gradient, whose values nothing changes while they are
  // in use; Parameters shows new tensors whenever theirs are others.
  std::any prepared = {};
  // Partial statistics of the values, which the op that wrote them left for the normalisation that
  // reads them (cuda/moments.h). They hold as long as the values: such a tensor is never written to
  // again, as backward expects of every value that it reads, and views have slots without them.
  Tensor moments = {};
  // In the same way the sums of the values over some positions each, (N, chunks, C), for the sums
  // over all positions of a gradient, which biases need.
  Tensor position_sums = {};
};

inline bool Tensor::requires_grad() const { return slot_ && slot_->requires_grad; }
inline Tensor& Tensor::set_requires_grad(bool on) {
  slot_->requires_grad = on;
  return *this;
}
inline Tensor& Tensor::grad() const { return slot_->grad; }

template <class T>
Tensor Tensor::from_host(const std::vector<T>& values, Shape shape, Device device) {
  DDPM_ASSERT(static_cast<int64_t>(values.size()) == shape.numel(), "{} values for shape {}",
              values.size(), shape);
  Tensor t = empty(shape, dtype_of<T>, device);
  t.copy_from_host(values.data());
  return t;
}

template <class T>
std::vector<T> Tensor::to_host() const {
  DDPM_ASSERT(dtype_of<T> == dtype_, "a {} tensor is not {}", name_of(dtype_),
              name_of(dtype_of<T>));
  std::vector<T> values(static_cast<size_t>(numel()));
  copy_to_host(values.data());
  return values;
}

}  // namespace ddpm
