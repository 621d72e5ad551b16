// What a file of tensors by another program holds: names and values in host memory. Every reader of
// such files gives this.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

struct NamedTensor {
  std::string name;
  Tensor values;
};

class NamedTensors {
 public:
  // `source` is the file, for messages.
  explicit NamedTensors(std::string source) : source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  // In the order of the file.
  const std::vector<NamedTensor>& all() const { return all_; }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Tensor* find(std::string_view name) const;
  // A UserError that names the file where there is none.
  const Tensor& at(std::string_view name) const;
  // The same, which must have this shape and type.
  const Tensor& at(std::string_view name, const Shape& shape, DType dtype) const;

  // A UserError if the name is taken.
  void add(std::string name, Tensor values);

  std::map<std::string, std::string> metadata;  // safetensors' "__metadata__"

 private:
  std::string source_;
  std::vector<NamedTensor> all_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace ddpm
