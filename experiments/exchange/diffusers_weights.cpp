#include "experiments/exchange/diffusers_weights.h"

#include <fmt/ranges.h>

#include <set>

#include "experiments/exchange/diffusers_names.h"
#include "framework/core/bf16.h"

namespace ddpm {
namespace {

constexpr std::string_view kFirst = "conv_in.weight";

// (outer, rows, columns) -> (outer, columns, rows)
template <class From>
std::vector<float> transposed(const From* from, int64_t outer, int64_t rows, int64_t columns) {
  std::vector<float> to(static_cast<size_t>(outer * rows * columns));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        to[static_cast<size_t>((o * columns + c) * rows + r)] =
            static_cast<float>(from[(o * rows + r) * columns + c]);
  return to;
}

}  // namespace

std::vector<NamedTensor> to_diffusers(const Parameters& parameters, int64_t levels) {
  std::vector<NamedTensor> tensors;
  for (const auto& [path, s, init, offset, tensor] : parameters.slots()) {
    std::vector<float> values = tensor.to_host<float>();
    if (s.rank() == 4) values = transposed(values.data(), s[0], s[1] * s[2], s[3]);
    tensors.push_back({diffusers_name(path, levels).current,
                       Tensor::from_host(values, diffusers_shape(path, s), Device::kCpu)});
  }
  return tensors;
}

std::string diffusers_prefix(const NamedTensors& file) {
  std::vector<std::string> prefixes;
  for (const auto& [name, values] : file.all()) {
    if (!name.ends_with(kFirst)) continue;
    const std::string prefix = name.substr(0, name.size() - kFirst.size());
    if (prefix.empty() || prefix.back() == '.') prefixes.push_back(prefix);
  }
  DDPM_CHECK(!prefixes.empty(),
             "'{}' holds no UNet2DModel of diffusers: {} tensors, none of them called '{}'",
             file.source(), file.all().size(), kFirst);
  DDPM_CHECK(prefixes.size() == 1, "'{}' holds several networks; name one with --prefix: '{}'",
             file.source(), fmt::join(prefixes, "', '"));
  return prefixes[0];
}

std::vector<Tensor> find_diffusers(const NamedTensors& file, const std::string& prefix,
                                   const Parameters& parameters, int64_t levels) {
  std::vector<Tensor> found;
  std::set<std::string> used;
  for (const Parameters::Slot& slot : parameters.slots()) {
    auto [name, legacy] = diffusers_name(slot.path, levels);
    if (!file.has(prefix + name) && file.has(prefix + legacy)) name = legacy;
    const Shape expected = diffusers_shape(slot.path, slot.shape);
    const Tensor* values = file.find(prefix + name);
    DDPM_CHECK(values, "'{}' has no tensor '{}' {}, which this network has as '{}'", file.source(),
               prefix + name, expected, slot.path);
    DDPM_CHECK(values->shape() == expected, "'{}': '{}' has shape {}, this network's '{}' needs {}",
               file.source(), prefix + name, values->shape(), slot.path, expected);
    DDPM_CHECK(values->dtype() == DType::kF32 || values->dtype() == DType::kBf16,
               "'{}': '{}' is {}; weights of f32, f16 and bf16 are taken as they are, no others",
               file.source(), prefix + name, name_of(values->dtype()));
    found.push_back(*values);
    used.insert(prefix + name);
  }
  for (const auto& [name, values] : file.all())
    DDPM_CHECK(!name.starts_with(prefix) || used.contains(name),
               "'{}': '{}' {} has no place in this network of {} parameters", file.source(), name,
               values.shape(), parameters.count());
  return found;
}

void from_diffusers(const std::vector<Tensor>& found, Parameters& parameters) {
  size_t next = 0;
  for (const Parameters::Slot& slot : parameters.slots()) {
    const Tensor& from = found.at(next++);
    const Shape& s = slot.shape;
    // One matrix is its own transpose: what is no kernel keeps its order.
    const int64_t outer = s.rank() == 4 ? s[0] : 1, rows = s.rank() == 4 ? s[3] : s.numel();
    const int64_t columns = s.rank() == 4 ? s[1] * s[2] : 1;
    const std::vector<float> values = from.dtype() == DType::kF32
                                          ? transposed(from.data<float>(), outer, rows, columns)
                                          : transposed(from.data<bf16>(), outer, rows, columns);
    Parameters::part(parameters.master, slot).copy_from_host(values.data());
  }
  parameters.use_master();
}

}  // namespace ddpm
