#include "framework/io/named_tensors.h"

namespace ddpm {

const Tensor* NamedTensors::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &all_[found->second].values;
}

const Tensor& NamedTensors::at(std::string_view name) const {
  const Tensor* found = find(name);
  DDPM_CHECK(found, "'{}' has no tensor '{}'", source_, name);
  return *found;
}

const Tensor& NamedTensors::at(std::string_view name, const Shape& shape, DType dtype) const {
  const Tensor& found = at(name);
  DDPM_CHECK(found.shape() == shape && found.dtype() == dtype,
             "'{}': '{}' is {} {}, expected {} {}", source_, name, name_of(found.dtype()),
             found.shape(), name_of(dtype), shape);
  return found;
}

void NamedTensors::add(std::string name, Tensor values) {
  const bool is_new = index_.emplace(name, all_.size()).second;
  DDPM_CHECK(is_new, "'{}' has two tensors called '{}'", source_, name);
  all_.push_back({std::move(name), std::move(values)});
}

}  // namespace ddpm
