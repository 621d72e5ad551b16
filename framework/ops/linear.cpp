#include "framework/ops/linear.h"

#include "framework/autograd/tape.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/reduce.h"

namespace ddpm {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
              bool feeds_norm) {
  DDPM_CHECK(x.shape().rank() >= 1, "linear: x {} is not (..., C)", x.shape());
  DDPM_CHECK(weight.shape().rank() == 2, "linear: weight {} is not (K, C)", weight.shape());
  DDPM_CHECK(x.shape()[-1] == weight.shape()[1],
             "linear: x {} has {} channels, weight {} expects {}", x.shape(), x.shape()[-1],
             weight.shape(), weight.shape()[1]);
  DDPM_CHECK(!bias || bias.shape() == Shape({weight.shape()[0]}), "linear: bias {} is not ({})",
             bias.shape(), weight.shape()[0]);
  const Shape shape = x.shape().with_inner(weight.shape()[0]);
  DDPM_CHECK(!residual || residual.shape() == shape, "linear: residual {} is not {}",
             residual.shape(), shape);
  const auto check_type = [&](const char* name, const Tensor& t, DType dtype) {
    DDPM_CHECK(!t || (t.dtype() == dtype && t.device() == x.device()),
               "linear: x is {} on {}, {} {} on {}", name_of(x.dtype()), name_of(x.device()), name,
               name_of(t.dtype()), name_of(t.device()));
  };
  check_type("weight", weight, x.dtype());
  check_type("bias", bias, accumulator_of(x.dtype()));
  check_type("residual", residual, x.dtype());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), linear_forward(x, weight, bias, residual, feeds_norm, y));
  const GradRef dresidual = residual ? residual.slot() : nullptr;
  Tape::record("linear", {x, weight, bias, residual}, y, [=](const Tensor& dy) {
    if (dresidual) accumulate_grad(dresidual, dy);
    if (x.requires_grad()) {
      Tensor dx = Tensor::like(x);
      DDPM_DISPATCH(dy.device(), linear_backward_data(dy, weight, dx));
      accumulate_grad(x.slot(), dx);
    }
    if (weight.requires_grad()) {
      Tensor dweight = grad_buffer(weight);
      DDPM_DISPATCH(dy.device(), linear_backward_weight(x, dy, dweight));
      accumulate_grad(weight.slot(), dweight);
    }
    if (bias.requires_grad()) {
      Tensor dbias = grad_buffer(bias);
      DDPM_DISPATCH(dy.device(), column_sum(dy, bias.numel(), dbias));
      accumulate_grad(bias.slot(), dbias);
    }
  });
  return y;
}

namespace cpu {

void linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& residual, bool feeds_norm, Tensor& y) {
  run_conv2d(Conv2dPass::kForward, linear_problem(weight, y),
             {x, weight, bias, y, {}, residual, feeds_norm});
}

void linear_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  run_conv2d(Conv2dPass::kBackwardData, linear_problem(weight, dy), {dx, weight, {}, dy});
}

void linear_backward_weight(const Tensor& x, const Tensor& dy, Tensor& dweight) {
  run_conv2d(Conv2dPass::kBackwardWeight, linear_problem(dweight, dy), {x, dweight, {}, dy});
}

}  // namespace cpu
}  // namespace ddpm
