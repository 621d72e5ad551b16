// OpCase: one op on one set of shapes. The same case is a finite-difference gradient check, a
// comparison with a naive reference, an f32-against-f64, a bf16-against-f32 and a thread-count
// check, the CUDA parity tests (tests/framework/ops/op_suite.cpp) and a benchmark
// (bench/op_bench.cpp).
//
//   DDPM_OP_CASE(SiluOdd, .inputs = {{{7, 5, 3, 1}, -6, 6}},
//                .run = [](const Tensors& in) { return silu(in[0]); });
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm::testing {

using Tensors = std::vector<Tensor>;

// Values are drawn uniformly from [low, high]; integers from {low, ..., high}.
struct Input {
  Shape shape;
  double low = -1, high = 1;
  bool differentiable = true;
  bool integer = false;  // an i32 tensor, never differentiable
  bool is_f32 = false;   // stays f32 where the others are bf16: biases, gains
};

struct OpCase {
  std::string name = {};  // unique, letters and digits: it becomes the test's name
  std::vector<Input> inputs;
  std::function<Tensor(const Tensors&)> run;
  // Plain loops over f64 tensors, written independently of the op; optional where finite
  // differences and another case already pin the op down.
  std::function<Tensor(const Tensors&)> reference = {};
  double grad_tolerance = 1e-6;  // f64 against central differences, absolute, for values near 1
  double f32_tolerance = 2e-5;   // f32 against f64, relative to the largest element
  // bf16 against f32 from the same rounded inputs, relative to the largest element: results are
  // rounded to 8 bits once, and what is computed from them once or twice more. 0: never bf16.
  double bf16_tolerance = 0x1p-7;
  std::vector<Shape> bench_shapes = {};  // realistic sizes for the benchmark; empty: not timed
  double bench_flops = 0;                // per forward call at those sizes; 0: report bytes
};

// A call that must be refused with a message containing `message`.
struct ErrorCase {
  std::string name = {};
  std::function<void()> run;
  std::string message;
};

std::vector<OpCase>& op_cases();
std::vector<ErrorCase>& error_cases();

// Tensors for a case, drawn from Philox so that a failure repeats; `shapes` replaces the case's
// own. With `rounded`, the values are those that a bf16 case has, whatever the type.
Tensors make_inputs(const OpCase& op_case, DType dtype, Device device = Device::kCpu,
                    const std::vector<Shape>& shapes = {}, bool rounded = false);

struct RegisterCase {
  RegisterCase(const char* name, OpCase op_case) {
    op_case.name = name;
    op_cases().push_back(std::move(op_case));
  }
  RegisterCase(const char* name, ErrorCase error_case) {
    error_case.name = name;
    error_cases().push_back(std::move(error_case));
  }
};

}  // namespace ddpm::testing

#define DDPM_OP_CASE(identifier, ...)                               \
  static const ::ddpm::testing::RegisterCase op_case_##identifier { \
#identifier, ::ddpm::testing::OpCase { __VA_ARGS__ }            \
  }
#define DDPM_ERROR_CASE(identifier, ...)                               \
  static const ::ddpm::testing::RegisterCase error_case_##identifier { \
#identifier, ::ddpm::testing::ErrorCase { __VA_ARGS__ }            \
  }
