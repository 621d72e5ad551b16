// Cases of framework/ops/elementwise.h.
#include <cmath>

#include "framework/ops/elementwise.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

// y[i] = f(a[i], b[i]) in plain f64, the second argument being a itself for unary functions.
Tensor plain(const Tensors& in, double (*f)(double, double)) {
  Tensor y = Tensor::like(in[0]);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = f(in[0].data<double>()[i], in.back().data<double>()[i]);
  return y;
}

DDPM_OP_CASE(
    Add, .inputs = {{{3, 5, 7}}, {{3, 5, 7}}},
    .run = [](const Tensors& in) { return add(in[0], in[1]); },
    .reference =
        [](const Tensors& in) { return plain(in, [](double a, double b) { return a + b; }); },
    .bench_shapes = {{16, 32, 32, 128}, {16, 32, 32, 128}});
DDPM_OP_CASE(
    AddSelf, .inputs = {{{33}}}, .run = [](const Tensors& in) { return add(in[0], in[0]); });
DDPM_OP_CASE(
    Subtract, .inputs = {{{3, 5, 7}}, {{3, 5, 7}}},
    .run = [](const Tensors& in) { return subtract(in[0], in[1]); },
    .reference =
        [](const Tensors& in) { return plain(in, [](double a, double b) { return a - b; }); });
DDPM_OP_CASE(
    Multiply, .inputs = {{{2, 17}}, {{2, 17}}},
    .run = [](const Tensors& in) { return multiply(in[0], in[1]); },
    .reference =
        [](const Tensors& in) { return plain(in, [](double a, double b) { return a * b; }); });
DDPM_OP_CASE(
    Scale, .inputs = {{{5, 3}}}, .run = [](const Tensors& in) { return scale(in[0], -2.5); },
    .reference =
        [](const Tensors& in) { return plain(in, [](double a, double) { return -2.5 * a; }); });
DDPM_OP_CASE(
    SiluOdd, .inputs = {{{7, 5, 3, 1}, -6, 6}},
    .run = [](const Tensors& in) { return silu(in[0]); },
    .reference =
        [](const Tensors& in) {
          return plain(in, [](double x, double) { return x / (1 + std::exp(-x)); });
        },
    .bench_shapes = {{16, 32, 32, 128}});
// Far from zero the sigmoid saturates: nothing may overflow.
DDPM_OP_CASE(
    SiluTails, .inputs = {{{64}, -120, 120}}, .run = [](const Tensors& in) { return silu(in[0]); },
    .grad_tolerance = 1e-5);
// Kept away from the kinks, where finite differences mean nothing.
DDPM_OP_CASE(
    Relu, .inputs = {{{40}, 0.01, 1}, {{40}, -1, -0.01}},
    .run = [](const Tensors& in) { return subtract(relu(in[0]), relu(in[1])); });
DDPM_OP_CASE(
    ClampInside, .inputs = {{{40}, -0.9, 0.9}},
    .run = [](const Tensors& in) { return clamp(in[0], -1, 1); });
DDPM_OP_CASE(
    ClampOutside, .inputs = {{{40}, 1.1, 3}},
    .run = [](const Tensors& in) { return clamp(in[0], -1, 1); },
    .reference = [](const Tensors& in) { return plain(in, [](double, double) { return 1.0; }); });

DDPM_ERROR_CASE(
    AddShapes,
    .run =
        [] {
          add(full({2, 3}, 0, DType::kF32, Device::kCpu),
              full({3, 2}, 0, DType::kF32, Device::kCpu));
        },
    .message = "add: shapes (2, 3) and (3, 2) differ");
DDPM_ERROR_CASE(
    AddTypes,
    .run =
        [] {
          add(full({2}, 0, DType::kF32, Device::kCpu), full({2}, 0, DType::kF64, Device::kCpu));
        },
    .message = "add: types f32 and f64 differ");

}  // namespace
}  // namespace ddpm::testing
