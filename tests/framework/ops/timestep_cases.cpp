// Cases of framework/ops/timestep.h: odd sizes, all timesteps of a short table. What has a gradient
// there belongs to the process around the network and is never bf16.
#include <cmath>

#include "framework/ops/timestep.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

constexpr int kSteps = 4;
const Input kTable{{kSteps}, -2, 2, false};

Input timesteps(int64_t n) { return {{n}, 0, kSteps - 1, false, true}; }

// y[i] = f(n, i) for element i of row n.
template <class F>
Tensor rows(const Tensor& like, F f) {
  Tensor y = Tensor::like(like);
  const int64_t columns = y.numel() / y.shape()[0];
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = f(i / columns, i);
  return y;
}

int32_t step(const Tensor& t, int64_t n) { return t.data<int32_t>()[n]; }
double at(const Tensor& x, int64_t i) { return x.data<double>()[i]; }

DDPM_OP_CASE(
    TimestepMix, .inputs = {kTable, {{7, 5, 3}}, kTable, {{7, 5, 3}}, timesteps(7)},
    .run = [](const Tensors& in) { return timestep_mix(in[0], in[1], in[2], in[3], in[4]); },
    .reference =
        [](const Tensors& in) {
          return rows(in[1], [&](int64_t n, int64_t i) {
            const int32_t t = step(in[4], n);
            return at(in[0], t) * at(in[1], i) + at(in[2], t) * at(in[3], i);
          });
        },
    .bf16_tolerance = 0, .bench_shapes = {{4}, {128, 32, 32, 3}, {4}, {128, 32, 32, 3}, {128}});

DDPM_OP_CASE(
    TimestepScale, .inputs = {kTable, {{9, 33}}, timesteps(9)},
    .run = [](const Tensors& in) { return timestep_scale(in[0], in[1], in[2]); },
    .reference =
        [](const Tensors& in) {
          return rows(in[1], [&](int64_t n, int64_t i) {
            return at(in[0], step(in[2], n)) * at(in[1], i);
          });
        },
    .bf16_tolerance = 0);

DDPM_OP_CASE(
    WhereFirstTimestep, .inputs = {timesteps(11), {{11, 3}}, {{11, 3}}},
    .run = [](const Tensors& in) { return where_first_timestep(in[0], in[1], in[2]); },
    .reference =
        [](const Tensors& in) {
          return rows(in[1], [&](int64_t n, int64_t i) {
            return at(step(in[0], n) == 0 ? in[1] : in[2], i);
          });
        },
    .bf16_tolerance = 0);

DDPM_OP_CASE(
    TimestepSum,
    .inputs = {{{kSteps, 3}, -2, 2, false},
               {{7, 5, 3}, -1, 1, false},
               {{7, 5, 3}, -1, 1, false},
               {{7, 5, 3}, -1, 1, false},
               timesteps(7)},
    .run =
        [](const Tensors& in) {
          return timestep_sum(in[0], {in[1], in[2], in[3]}, in[4]);
        },
    .reference =
        [](const Tensors& in) {
          return rows(in[1], [&](int64_t n, int64_t i) {
            double sum = 0;
            for (int64_t j = 0; j < 3; ++j)
              sum += at(in[0], 3 * step(in[4], n) + j) * at(in[j + 1], i);
            return sum;
          });
        },
    .bf16_tolerance = 0,
    .bench_shapes = {{4, 3}, {128, 32, 32, 3}, {128, 32, 32, 3}, {128, 32, 32, 3}, {128}});

DDPM_ERROR_CASE(
    TimestepSumTable,
    .run =
        [] {
          const Tensor t = Tensor::zeros({2}, DType::kI32, Device::kCpu);
          const Tensor u = Tensor::zeros({2, 3}, DType::kF32, Device::kCpu);
          timestep_sum(Tensor::zeros({4, 3}, DType::kF32, Device::kCpu), {u, u}, t);
        },
    .message = "timestep_sum: the table is f32 (4, 3), not (T, 2) f32");
DDPM_ERROR_CASE(
    TimestepMixShapes,
    .run =
        [] {
          const Tensor t = Tensor::zeros({2}, DType::kI32, Device::kCpu);
          const Tensor table = Tensor::zeros({4}, DType::kF32, Device::kCpu);
          const Tensor u = Tensor::zeros({2, 3}, DType::kF32, Device::kCpu);
          const Tensor v = Tensor::zeros({2, 4}, DType::kF32, Device::kCpu);
          timestep_mix(table, u, table, v, t);
        },
    .message = "timestep_mix: f32 (2, 3) and f32 (2, 4) differ");
DDPM_ERROR_CASE(
    TimestepCount,
    .run =
        [] {
          const Tensor t = Tensor::zeros({3}, DType::kI32, Device::kCpu);
          const Tensor table = Tensor::zeros({4}, DType::kF32, Device::kCpu);
          timestep_scale(table, Tensor::zeros({2, 3}, DType::kF32, Device::kCpu), t);
        },
    .message = "timestep_scale: 3 timesteps for 2 samples");

}  // namespace
}  // namespace ddpm::testing
