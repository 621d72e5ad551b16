// Losses of samples with more elements than a block has threads, and of more classes than a warp.
#include "framework/ops/losses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/framework/cuda/cuda_tests.h"
#include "tests/op_case.h"

namespace ddpm::testing {
namespace {

using CudaLosses = Cuda;

// The loss and its gradients by the differentiable inputs.
template <class T>
std::vector<std::vector<T>> run(const OpCase& c, Device device) {
  const Tensors in = make_inputs(c, dtype_of<T>, device);
  Tape tape;
  const Tensor y = c.run(in);
  tape.backward(sum(multiply(y, y)));  // every sample has a weight of its own
  std::vector<std::vector<T>> result{y.to_host<T>()};
  for (const Tensor& x : in)
    if (x.requires_grad()) result.push_back(x.grad().to_host<T>());
  return result;
}

template <class T>
void expect_close(const OpCase& c, double tolerance) {
  const auto actual = run<T>(c, Device::kCuda), expected = run<T>(c, Device::kCpu);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t k = 0; k < actual.size(); ++k) {
    T largest = 0;
    for (const T e : expected[k]) largest = std::max(largest, std::abs(e));
    for (size_t i = 0; i < actual[k].size(); ++i)
      ASSERT_NEAR(actual[k][i], expected[k][i], tolerance * static_cast<double>(largest))
          << c.name << ", " << (k == 0 ? "loss" : "gradient") << ", element " << i;
  }
}

TEST_F(CudaLosses, LongRowsMatchTheCpu) {
  const Shape s{3, 1000};
  const Input data{s, -1, 1, false}, log_variance{s, -2, 1};
  const OpCase cases[] = {
      {.name = "squared_error",
       .inputs = {{s}, data},
       .run = [](const Tensors& in) { return squared_error(in[0], in[1]); }},
      {.name = "normal_kl",
       .inputs = {data, {s, -2, 1, false}, {s}, log_variance},
       .run = [](const Tensors& in) { return normal_kl(in[0], in[1], in[2], in[3]); }},
      {.name = "discretized_normal_nll",
       .inputs = {data, {s}, log_variance},
       .run = [](const Tensors& in) { return discretized_normal_nll(in[0], in[1], in[2], 9); }},
      {.name = "normal_nll",
       .inputs = {data, {s}, log_variance},
       .run = [](const Tensors& in) { return normal_nll(in[0], in[1], in[2]); }},
      {.name = "cross_entropy",
       .inputs = {{{9, 100}, -5, 5}, {{9}, 0, 99, false, true}},
       .run = [](const Tensors& in) { return cross_entropy(in[0], in[1]); }},
  };
  for (const OpCase& c : cases) {
    expect_close<double>(c, 1e-13);
    expect_close<float>(c, 5e-6);  // exp and log of the two backends differ in the last bits
  }
}

}  // namespace
}  // namespace ddpm::testing
