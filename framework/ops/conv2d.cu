#include "framework/cuda/conv2d_algorithms.h"
#include "framework/ops/conv2d.h"
#include "framework/ops/conv2d_problem.h"

namespace ddpm::cuda {

void conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Conv2dGeometry& geometry, const Conv2dEpilogue& epilogue, Tensor& y) {
  run_conv2d(Conv2dPass::kForward, conv2d_problem(x, weight, y, geometry),
             {x, weight, bias, y, epilogue.per_sample, epilogue.residual, epilogue.feeds_norm});
}

void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& bias,
                          const Conv2dGeometry& geometry, bool feeds_norm, Tensor& dx) {
  run_conv2d(Conv2dPass::kBackwardData, conv2d_problem(dx, weight, dy, geometry),
             {dx, weight, bias, dy, {}, {}, feeds_norm});
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dGeometry& geometry,
                            Tensor& dweight) {
  run_conv2d(Conv2dPass::kBackwardWeight, conv2d_problem(x, dweight, dy, geometry),
             {x, dweight, {}, dy});
}

}  // namespace ddpm::cuda
