#include "framework/ops/conv2d.h"

#include "framework/autograd/tape.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"

namespace ddpm {
namespace {

void check_operands(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    int64_t channels) {
  DDPM_CHECK(x.dtype() == weight.dtype() && x.device() == weight.device(),
             "{}: x is {} on {}, weight {} on {}", op, name_of(x.dtype()), name_of(x.device()),
             name_of(weight.dtype()), name_of(weight.device()));
  if (!bias) return;
  DDPM_CHECK(bias.shape() == Shape({channels}), "{}: bias {} is not ({})", op, bias.shape(),
             channels);
  DDPM_CHECK(bias.dtype() == accumulator_of(x.dtype()) && bias.device() == x.device(),
             "{}: x is {} on {}, bias {} on {}", op, name_of(x.dtype()), name_of(x.device()),
             name_of(bias.dtype()), name_of(bias.device()));
}

void check_addend(const char* name, const Tensor& addend, const Shape& shape, const Tensor& x) {
  if (!addend) return;
  DDPM_CHECK(addend.shape() == shape, "conv2d: {} {} is not {}", name, addend.shape(), shape);
  DDPM_CHECK(addend.dtype() == x.dtype() && addend.device() == x.device(),
             "conv2d: x is {} on {}, {} {} on {}", name_of(x.dtype()), name_of(x.device()), name,
             name_of(addend.dtype()), name_of(addend.device()));
}

// Sums of dy over the positions of each sample serve both; a bias alone takes one pass.
void backward_bias(const Tensor& bias, const Tensor& per_sample, const Tensor& dy) {
  Tensor sums;
  if (per_sample && per_sample.requires_grad()) {
    sums = Tensor::empty(per_sample.shape(), accumulator_of(dy.dtype()), dy.device());
    DDPM_DISPATCH(dy.device(), position_sum_forward(dy, 1, sums));
    accumulate_grad(per_sample.slot(), cast(sums, dy.dtype()));
  }
  if (!bias.requires_grad()) return;
  Tensor dbias = grad_buffer(bias);
  DDPM_DISPATCH(dy.device(), column_sum(sums ? sums : dy, bias.numel(), dbias));
  accumulate_grad(bias.slot(), dbias);
}

}  // namespace

Conv2dGeometry Conv2dGeometry::same(int extent, int stride) {
  const int total = extent > stride ? extent - stride : 0;
  const int before = total / 2, after = total - before;
  return {stride, before, before, after, after};
}

Shape Conv2dGeometry::output_shape(const Shape& x, const Shape& weight) const {
  DDPM_CHECK(x.rank() == 4, "conv2d: x {} is not (N, H, W, C)", x);
  DDPM_CHECK(weight.rank() == 4, "conv2d: weight {} is not (K, R, S, C)", weight);
  DDPM_CHECK(x[3] == weight[3], "conv2d: x {} has {} channels, weight {} expects {}", x, x[3],
             weight, weight[3]);
  DDPM_CHECK(stride >= 1, "conv2d: the stride {} is not positive", stride);
  DDPM_CHECK(pad_top >= 0 && pad_left >= 0 && pad_bottom >= 0 && pad_right >= 0,
             "conv2d: the padding ({}, {}, {}, {}) is negative", pad_top, pad_left, pad_bottom,
             pad_right);
  const int64_t height = x[1] + pad_top + pad_bottom, width = x[2] + pad_left + pad_right;
  DDPM_CHECK(weight[1] >= 1 && weight[2] >= 1 && weight[1] <= height && weight[2] <= width,
             "conv2d: the kernel of weight {} does not fit into x {} padded to ({}, {})", weight, x,
             height, width);
  return {x[0], (height - weight[1]) / stride + 1, (width - weight[2]) / stride + 1, weight[0]};
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dGeometry& geometry, const Conv2dEpilogue& epilogue) {
  const Shape shape = geometry.output_shape(x.shape(), weight.shape());
  const Tensor &per_sample = epilogue.per_sample, &residual = epilogue.residual;
  check_operands("conv2d", x, weight, bias, shape[3]);
  check_addend("per_sample", per_sample, {shape[0], shape[3]}, x);
  check_addend("residual", residual, shape, x);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), conv2d_forward(x, weight, bias, geometry, epilogue, y));
  const GradRef dresidual = residual ? residual.slot() : nullptr;
  Tape::record("conv2d", {x, weight, bias, per_sample, residual}, y, [=](const Tensor& dy) {
    if (dresidual) accumulate_grad(dresidual, dy);
    if (x.requires_grad()) {
      Tensor dx = Tensor::like(x);
      DDPM_DISPATCH(dy.device(), conv2d_backward_data(dy, weight, {}, geometry, false, dx));
      accumulate_grad(x.slot(), dx);
    }
    if (weight.requires_grad()) {
      Tensor dweight = grad_buffer(weight);
      DDPM_DISPATCH(dy.device(), conv2d_backward_weight(x, dy, geometry, dweight));
      accumulate_grad(weight.slot(), dweight);
    }
    backward_bias(bias, per_sample, dy);
  });
  return y;
}

Tensor conv2d_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Conv2dGeometry& geometry, bool feeds_norm) {
  DDPM_CHECK(x.shape().rank() == 4, "conv2d_transpose: x {} is not (N, P, Q, K)", x.shape());
  DDPM_CHECK(weight.shape().rank() == 4, "conv2d_transpose: weight {} is not (K, R, S, C)",
             weight.shape());
  DDPM_CHECK(x.shape()[3] == weight.shape()[0],
             "conv2d_transpose: x {} has {} channels, weight {} expects {}", x.shape(),
             x.shape()[3], weight.shape(), weight.shape()[0]);
  const Shape shape{x.shape()[0], x.shape()[1] * geometry.stride, x.shape()[2] * geometry.stride,
                    weight.shape()[3]};
  check_operands("conv2d_transpose", x, weight, bias, shape[3]);
  DDPM_CHECK(geometry.output_shape(shape, weight.shape()) == x.shape(),
             "conv2d_transpose: a conv2d from {} with weight {} gives {}, not x {}", shape,
             weight.shape(), geometry.output_shape(shape, weight.shape()), x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), conv2d_backward_data(x, weight, bias, geometry, feeds_norm, y));
  // The adjoint's adjoint is conv2d; in the weight gradient x and dy change places.
  Tape::record("conv2d_transpose", {x, weight, bias}, y, [=](const Tensor& dy) {
    if (x.requires_grad()) {
      Tensor dx = Tensor::like(x);
      DDPM_DISPATCH(dy.device(), conv2d_forward(dy, weight, {}, geometry, {}, dx));
      accumulate_grad(x.slot(), dx);
    }
    if (weight.requires_grad()) {
      Tensor dweight = grad_buffer(weight);
      DDPM_DISPATCH(dy.device(), conv2d_backward_weight(dy, x, geometry, dweight));
      accumulate_grad(weight.slot(), dweight);
    }
    backward_bias(bias, {}, dy);
  });
  return y;
}

namespace cpu {
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

}  // namespace cpu
}  // namespace ddpm
