// Cases of framework/ops/losses.h. Losses are never bf16: the output of the network is widened
// first.
#include <cmath>

#include "framework/ops/losses.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

const double kLn2 = std::log(2.0);

// Mean over each row of f(i), the terms of element i.
template <class F>
Tensor row_means(const Tensor& like, F f) {
  const int64_t rows = like.shape()[0], columns = like.numel() / rows;
  Tensor y = Tensor::zeros({rows}, DType::kF64, Device::kCpu);
  for (int64_t i = 0; i < like.numel(); ++i)
    y.data<double>()[i / columns] += f(i) / static_cast<double>(columns);
  return y;
}

double at(const Tensor& x, int64_t i) { return x.data<double>()[i]; }

DDPM_OP_CASE(
    SquaredError, .inputs = {{{5, 7, 3}}, {{5, 7, 3}, -1, 1, false}},
    .run = [](const Tensors& in) { return squared_error(in[0], in[1]); },
    .reference =
        [](const Tensors& in) {
          return row_means(in[0],
                           [&](int64_t i) { return std::pow(at(in[0], i) - at(in[1], i), 2); });
        },
    .bf16_tolerance = 0, .bench_shapes = {{128, 32, 32, 3}, {128, 32, 32, 3}});

DDPM_OP_CASE(
    NormalKl,
    .inputs = {{{5, 33}, -1, 1, false}, {{5, 33}, -2, 1, false}, {{5, 33}}, {{5, 33}, -2, 1}},
    .run = [](const Tensors& in) { return normal_kl(in[0], in[1], in[2], in[3]); },
    .reference =
        [](const Tensors& in) {
          return row_means(in[0], [&](int64_t i) {
            const double v1 = std::exp(at(in[1], i)), v2 = std::exp(at(in[3], i));
            const double difference = at(in[0], i) - at(in[2], i);
            return (std::log(v2 / v1) - 1 + v1 / v2 + difference * difference / v2) / (2 * kLn2);
          });
        },
    .bf16_tolerance = 0);

// Three levels and wide normals: elements in the first, inner and last bin, none so far in a tail
// that the reference's own differences lose digits.
DDPM_OP_CASE(
    DiscretizedNormalNll,
    .inputs = {{{5, 33}, -1.2, 1.2, false}, {{5, 33}, -0.5, 0.5}, {{5, 33}, -0.5, 0.5}},
    .run = [](const Tensors& in) { return discretized_normal_nll(in[0], in[1], in[2], 3); },
    .reference =
        [](const Tensors& in) {
          const auto cdf = [](double z) {
            return 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
          };
          return row_means(in[0], [&](int64_t i) {
            const double x = at(in[0], i), deviation = std::exp(0.5 * at(in[2], i));
            const double low = cdf((x - 0.5 - at(in[1], i)) / deviation);
            const double high = cdf((x + 0.5 - at(in[1], i)) / deviation);
            const double mass = x < -0.75 ? high : x > 0.75 ? 1 - low : high - low;
            return -std::log2(mass);
          });
        },
    .bf16_tolerance = 0);

// Bytes and the narrow normals of the last steps, inside the reach of the floor.
DDPM_OP_CASE(
    DiscretizedNormalNllBytes,
    .inputs = {{{3, 7}, -0.01, 0.01, false}, {{3, 7}, -0.01, 0.01}, {{3, 7}, -10, -8}},
    .run = [](const Tensors& in) { return discretized_normal_nll(in[0], in[1], in[2], 256); },
    // d/d mean is near 300, and the differences' own error grows with the cube of that.
    .grad_tolerance = 1e-4, .f32_tolerance = 1e-4, .bf16_tolerance = 0);

DDPM_OP_CASE(
    NormalNll, .inputs = {{{5, 33}, -1, 1, false}, {{5, 33}}, {{5, 33}, -2, 1}},
    .run = [](const Tensors& in) { return normal_nll(in[0], in[1], in[2]); },
    .reference =
        [](const Tensors& in) {
          return row_means(in[0], [&](int64_t i) {
            const double variance = std::exp(at(in[2], i));
            const double difference = at(in[0], i) - at(in[1], i);
            return -std::log2(std::exp(-difference * difference / (2 * variance)) /
                              std::sqrt(2 * M_PI * variance));
          });
        },
    .bf16_tolerance = 0);

DDPM_OP_CASE(
    CrossEntropy, .inputs = {{{7, 5}, -3, 3}, {{7}, 0, 4, false, true}},
    .run = [](const Tensors& in) { return cross_entropy(in[0], in[1]); },
    .reference =
        [](const Tensors& in) {
          Tensor y = Tensor::zeros({7}, DType::kF64, Device::kCpu);
          for (int n = 0; n < 7; ++n) {
            double total = 0;
            for (int k = 0; k < 5; ++k) total += std::exp(at(in[0], n * 5 + k));
            const int32_t label = in[1].data<int32_t>()[n];
            y.data<double>()[n] = -std::log(std::exp(at(in[0], n * 5 + label)) / total);
          }
          return y;
        },
    .bf16_tolerance = 0);

DDPM_ERROR_CASE(
    SquaredErrorShapes,
    .run =
        [] {
          squared_error(Tensor::zeros({2, 3}, DType::kF32, Device::kCpu),
                        Tensor::zeros({2, 4}, DType::kF32, Device::kCpu));
        },
    .message = "squared_error: f32 (2, 3) and f32 (2, 4) differ");
DDPM_ERROR_CASE(
    DiscretizedNormalNllLevels,
    .run =
        [] {
          const Tensor x = Tensor::zeros({2, 3}, DType::kF32, Device::kCpu);
          discretized_normal_nll(x, x, x, 1);
        },
    .message = "discretized_normal_nll: 1 levels");
DDPM_ERROR_CASE(
    CrossEntropyLabels,
    .run =
        [] {
          cross_entropy(Tensor::zeros({2, 3}, DType::kF32, Device::kCpu),
                        Tensor::zeros({3}, DType::kI32, Device::kCpu));
        },
    .message = "cross_entropy: logits (2, 3) and labels (3)");

}  // namespace
}  // namespace ddpm::testing
