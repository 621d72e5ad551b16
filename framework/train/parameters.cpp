#include "framework/train/parameters.h"

#include <algorithm>
#include <cmath>

#include "framework/core/memory.h"
#include "framework/ops/elementwise.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

// (out, ..., in): what lies between is the receptive field and counts for both fans.
double uniform_bound(const Shape& shape, double scale) {
  const double elements = static_cast<double>(shape.numel());
  const double fan_in = elements / static_cast<double>(shape[0]);
  const double fan_out = elements / static_cast<double>(shape[-1]);
  return std::sqrt(3 * scale / ((fan_in + fan_out) / 2));
}

}  // namespace

Parameter Parameters::add(std::string path, Shape shape, Init init) {
  DDPM_ASSERT(!master, "'{}' is added after allocate()", path);
  DDPM_ASSERT(std::none_of(slots_.begin(), slots_.end(),
                           [&](const Slot& slot) { return slot.path == path; }),
              "two parameters are called '{}'", path);
  slots_.push_back({std::move(path), shape, init, flat_size_, {}});
  count_ += shape.numel();
  flat_size_ += (shape.numel() + kAlignment - 1) / kAlignment * kAlignment;
  return Parameter(&slots_.back().tensor);
}

void Parameters::allocate(DType compute_type, Device device, uint64_t seed) {
  const DType dtype = accumulator_of(compute_type);
  master = Tensor::zeros({flat_size_}, dtype, device);
  if (compute_type != dtype) compute = Tensor::zeros({flat_size_}, compute_type, device);
  const Tensor counter = random_counter(0, 0, device);
  for (const Slot& slot : slots_) {
    Tensor values = part(master, slot);
    if (slot.init.kind == Init::Kind::kConstant) {
      values.copy_from(full(slot.shape, slot.init.value, dtype, device));
    } else {
      const double bound = uniform_bound(slot.shape, slot.init.value);
      Tensor row = values.reshape({1, slot.shape.numel()});
      fill_uniform({seed, ddpm::random_site(slot.path), counter}, -bound, bound, row);
    }
  }
  use_master();
}

void Parameters::allocate_training(int average_count) {
  DDPM_ASSERT(master, "allocate() comes first");
  training_ = true;
  grad = Tensor::zeros(master.shape(), master.dtype(), master.device());
  moment1 = Tensor::zeros(master.shape(), master.dtype(), master.device());
  moment2 = Tensor::zeros(master.shape(), master.dtype(), master.device());
  averages.clear();
  for (int i = 0; i < average_count; ++i) {
    averages.push_back(Tensor::like(master));
    averages.back().copy_from(master);
  }
  use_master();
}

void Parameters::show(const Tensor& flat) {
  if (compute) compute.copy_from(cast(flat, compute.dtype()));
  for (Slot& slot : slots_) {
    slot.tensor = part(compute && slot.shape.rank() > 1 ? compute : flat, slot);
    if (!training_) continue;
    slot.tensor.set_requires_grad(true);
    slot.tensor.slot()->bound = part(grad, slot);
  }
}

void Parameters::begin_gradients() {
  for (Slot& slot : slots_) slot.tensor.grad() = Tensor();
}

void Parameters::end_gradients() {
  for (Slot& slot : slots_) {
    if (slot.tensor.grad()) continue;
    const Tensor& bound = slot.tensor.slot()->bound;
    memory::zero(bound.device(), bound.raw(), bound.bytes());
  }
}

std::vector<std::string> weight_names(size_t averages) {
  std::vector<std::string> names = {"raw"};
  for (size_t i = 0; i < averages; ++i) names.push_back(i == 0 ? "ema" : fmt::format("ema_{}", i));
  return names;
}

int average_index(const std::string& weights) {
  if (weights == "raw") return -1;
  return weights == "ema" ? 0 : std::stoi(weights.substr(4));
}

Scope Scope::operator/(std::string_view name) const {
  Scope inner = *this;
  if (!inner.path_.empty()) inner.path_ += '/';
  inner.path_ += name;
  return inner;
}

Parameter Scope::parameter(std::string_view name, Shape shape, Init init) const {
  return parameters_->add((*this / name).path_, shape, init);
}

uint32_t Scope::random_site(std::string_view name) const {
  return ddpm::random_site((*this / name).path_);
}

}  // namespace ddpm
