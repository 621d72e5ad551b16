#include "framework/cpu/conv2d_widened.h"

#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cpu/parallel.h"

namespace ddpm::cpu {
namespace {

template <class From, class To>
void convert(const Tensor& x, const Tensor& y) {
  const From* __restrict in = x.data<From>();
  To* __restrict out = y.data<To>();
  parallel_ranges(x.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<To>(in[i]);
  });
}

Tensor widen(const Tensor& x) {
  if (!x) return {};
  Tensor y = Tensor::empty(x.shape(), DType::kF32, x.device());
  convert<bf16, float>(x, y);
  return y;
}

Conv2dProblem widen(Conv2dProblem problem) {
  problem.dtype = DType::kF32;
  return problem;
}

}  // namespace

bool widened_supports(const Conv2dProblem& problem) { return problem.dtype == DType::kBf16; }

void widened_forward(const Conv2dProblem& problem, const Conv2dOperands& o) {
  const Tensor y = Tensor::empty(o.y.shape(), DType::kF32, o.y.device());
  run_conv2d(Conv2dPass::kForward, widen(problem),
             {widen(o.x), widen(o.weight), o.bias, y, widen(o.per_sample), widen(o.residual)});
  convert<float, bf16>(y, o.y);
}

void widened_backward_data(const Conv2dProblem& problem, const Conv2dOperands& o) {
  const Tensor dx = Tensor::empty(o.x.shape(), DType::kF32, o.x.device());
  run_conv2d(Conv2dPass::kBackwardData, widen(problem), {dx, widen(o.weight), o.bias, widen(o.y)});
  convert<float, bf16>(dx, o.x);
}

void widened_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& o) {
  run_conv2d(Conv2dPass::kBackwardWeight, widen(problem), {widen(o.x), o.weight, {}, widen(o.y)});
}

}  // namespace ddpm::cpu
