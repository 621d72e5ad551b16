#include "tests/op_case.h"

#include "framework/random/philox.h"
#include "framework/random/random.h"

namespace ddpm::testing {

std::vector<OpCase>& op_cases() {
  static std::vector<OpCase> cases;
  return cases;
}

std::vector<ErrorCase>& error_cases() {
  static std::vector<ErrorCase> cases;
  return cases;
}

Tensors make_inputs(const OpCase& op_case, DType dtype, Device device,
                    const std::vector<Shape>& shapes, bool rounded) {
  Tensors tensors;
  for (size_t k = 0; k < op_case.inputs.size(); ++k) {
    const Input& input = op_case.inputs[k];
    const Shape shape = shapes.empty() ? input.shape : shapes.at(k);
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) {
      const DrawId id{random_site(op_case.name), 0, static_cast<uint32_t>(k)};
      const double u = to_uniform(philox(1, id, static_cast<uint32_t>(i)).v[0]);
      const double span = input.high - input.low + (input.integer ? 1 : 0);
      values[i] = input.low + u * span;
      if ((rounded || dtype == DType::kBf16) && !input.integer && !input.is_f32)
        values[i] = static_cast<double>(bf16(static_cast<float>(values[i])));
    }
    const auto convert = [&]<class T>(T) {
      return Tensor::from_host(std::vector<T>(values.begin(), values.end()), shape, device);
    };
    Tensor t = input.integer                            ? convert(int32_t{})
               : dtype == DType::kF64                   ? convert(double{})
               : dtype == DType::kBf16 && !input.is_f32 ? convert(bf16{})
                                                        : convert(float{});
    t.set_requires_grad(input.differentiable && !input.integer);
    tensors.push_back(t);
  }
  return tensors;
}

}  // namespace ddpm::testing
