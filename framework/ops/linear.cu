#include "framework/cuda/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/linear.h"

namespace ddpm::cuda {

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

}  // namespace ddpm::cuda
