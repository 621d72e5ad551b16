// Parameters: every weight of a model in flat buffers, one slot after the other, so that optimiser,
// gradient norm, averaging and checkpoints are passes over arrays.
//
// Building a model registers its slots (add); nothing is allocated until allocate(), so that a dry
// run can count 256 million parameters for free. Layers hold `Parameter` handles; use_master() and
// use_average() decide which buffer the handles show. Parameters must outlive its layers.
//
// A network that computes in bf16 keeps f32 masters, gradients, moments and averages. Its handles
// show a bf16 copy of the matrices and kernels, and the f32 values of vectors (biases, gains),
// which cost nothing and are added to f32 sums.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

// How a parameter starts. Variance scaling is TensorFlow's variance_scaling(scale, 'fan_avg',
// 'uniform'): U(-a, a) with a = sqrt(3 scale / ((fan_in + fan_out) / 2)); shapes are (out, ...,
// in).
struct Init {
  enum class Kind { kConstant, kVarianceScaling } kind = Kind::kConstant;
  double value = 0;  // the constant, or the scale

  static Init constant(double value) { return {Kind::kConstant, value}; }
  // A scale of zero becomes 1e-10, as in the paper's code: nearly zero, but not symmetric.
  static Init variance_scaling(double scale) {
    return {Kind::kVarianceScaling, scale == 0 ? 1e-10 : scale};
  }
};

class Parameter {
 public:
  explicit Parameter(const Tensor* tensor) : tensor_(tensor) {}
  operator const Tensor&() const { return *tensor_; }
  DType dtype() const { return tensor_->dtype(); }

 private:
  const Tensor* tensor_;
};

class Parameters {
 public:
  struct Slot {
    std::string path;  // "down_0/block_1/conv_1/weight"
    Shape shape;
    Init init;
    int64_t offset;  // elements from the start of every flat buffer; a multiple of kAlignment
    Tensor tensor;   // what layers see: a view of the master, of an average or of `compute`
  };
  static constexpr int64_t kAlignment = 16;  // elements: 64 bytes of f32

  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  Parameter add(std::string path, Shape shape, Init init);
  const std::deque<Slot>& slots() const { return slots_; }
  int64_t count() const { return count_; }  // scalars, without alignment gaps

  // Creates and initialises the master weights: a function of the seed and each path.
  // `compute_type` is what the network computes in: f32, f64, or bf16 with masters of f32.
  void allocate(DType compute_type, Device device, uint64_t seed);
  // Adds gradients, Adam's moments and `averages` running averages that start as the weights.
  void allocate_training(int averages);

  Tensor master, grad, moment1, moment2;  // (flat size)
  std::vector<Tensor> averages;
  // The weights that the handles show, rounded to bf16; empty where they need no copy. An
  // optimizer that changes the master writes it, too.
  Tensor compute;

  // These also refresh `compute`: call them after changing what they show by other means.
  void use_master() { show(master); }
  void use_average(int index) { show(averages.at(static_cast<size_t>(index))); }
  // The part of a flat buffer that belongs to a slot.
  static Tensor part(const Tensor& flat, const Slot& slot) {
    return flat.view(slot.offset, slot.shape);
  }

  // Before a backward pass: the first contribution to a gradient overwrites its buffer.
  void begin_gradients();
  // After it: parameters that the loss did not reach have a gradient of zero.
  void end_gradients();

 private:
  void show(const Tensor& flat);

  std::deque<Slot> slots_;  // a deque: handles point into it
  int64_t count_ = 0, flat_size_ = 0;
  bool training_ = false;
};

// What users call the weights of a model with so many running averages: "raw", "ema" (the first of
// them), "ema_1", ..
std::vector<std::string> weight_names(size_t averages);
// The average that such a name means; -1: none, "raw".
int average_index(const std::string& weights);

// Where in a model a layer is built: gives names to parameters and to random streams.
class Scope {
 public:
  explicit Scope(Parameters& parameters) : parameters_(&parameters) {}
  Scope operator/(std::string_view name) const;
  Parameter parameter(std::string_view name, Shape shape, Init init) const;
  uint32_t random_site(std::string_view name) const;

 private:
  Parameters* parameters_;
  std::string path_;
};

}  // namespace ddpm
