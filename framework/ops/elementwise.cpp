#include "framework/ops/elementwise.h"

#include "framework/autograd/tape.h"
#include "framework/cpu/map.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/scalar_math.h"

namespace ddpm {
namespace {

void check_same(const char* op, const Tensor& a, const Tensor& b) {
  DDPM_CHECK(a.shape() == b.shape(), "{}: shapes {} and {} differ", op, a.shape(), b.shape());
  DDPM_CHECK(a.dtype() == b.dtype(), "{}: types {} and {} differ", op, name_of(a.dtype()),
             name_of(b.dtype()));
}

}  // namespace

Tensor full(Shape shape, double value, DType dtype, Device device) {
  Tensor y = Tensor::empty(shape, dtype, device);
  DDPM_DISPATCH(device, fill(value, y));
  return y;
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  DDPM_DISPATCH(x.device(), cast_forward(x, y));
  Tape::record("cast", {x}, y, [slot = x.slot(), from = x.dtype()](const Tensor& dy) {
    accumulate_grad(slot, cast(dy, from));
  });
  return y;
}

Tensor add(const Tensor& a, const Tensor& b) {
  check_same("add", a, b);
  Tensor y = Tensor::like(a);
  DDPM_DISPATCH(a.device(), add_forward(a, b, y));
  Tape::record("add", {a, b}, y, [da = a.slot(), db = b.slot()](const Tensor& dy) {
    accumulate_grad(da, dy);
    accumulate_grad(db, dy);
  });
  return y;
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  check_same("subtract", a, b);
  Tensor y = Tensor::like(a);
  DDPM_DISPATCH(a.device(), subtract_forward(a, b, y));
  Tape::record("subtract", {a, b}, y, [da = a.slot(), db = b.slot()](const Tensor& dy) {
    accumulate_grad(da, dy);
    if (db->requires_grad) accumulate_grad(db, scale(dy, -1));
  });
  return y;
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  check_same("multiply", a, b);
  Tensor y = Tensor::like(a);
  DDPM_DISPATCH(a.device(), multiply_forward(a, b, y));
  Tape::record("multiply", {a, b}, y, [a, b](const Tensor& dy) {
    if (a.requires_grad()) accumulate_grad(a.slot(), multiply(dy, b));
    if (b.requires_grad()) accumulate_grad(b.slot(), multiply(dy, a));
  });
  return y;
}

Tensor scale(const Tensor& x, double factor) {
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), scale_forward(x, factor, y));
  Tape::record("scale", {x}, y, [slot = x.slot(), factor](const Tensor& dy) {
    accumulate_grad(slot, scale(dy, factor));
  });
  return y;
}

Tensor silu(const Tensor& x) {
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), silu_forward(x, y));
  Tape::record("silu", {x}, y, [x](const Tensor& dy) {
    Tensor dx = Tensor::like(x);
    DDPM_DISPATCH(x.device(), silu_backward(x, dy, dx));
    accumulate_grad(x.slot(), dx);
  });
  return y;
}

Tensor relu(const Tensor& x) {
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), relu_forward(x, y));
  Tape::record("relu", {x}, y, [x](const Tensor& dy) {
    Tensor dx = Tensor::like(x);
    DDPM_DISPATCH(x.device(), relu_backward(x, dy, dx));
    accumulate_grad(x.slot(), dx);
  });
  return y;
}

Tensor clamp(const Tensor& x, double low, double high) {
  DDPM_CHECK(low <= high, "clamp: the bounds {} and {} are in the wrong order", low, high);
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), clamp_forward(x, low, high, y));
  Tape::record("clamp", {x}, y, [x, low, high](const Tensor& dy) {
    Tensor dx = Tensor::like(x);
    DDPM_DISPATCH(x.device(), clamp_backward(x, dy, low, high, dx));
    accumulate_grad(x.slot(), dx);
  });
  return y;
}

namespace cpu {

void fill(double value, Tensor& y) {
  DDPM_NETWORK_FLOATS(y.dtype(), T,
                      { map([rounded = static_cast<T>(value)]() { return rounded; }, y); });
}
void cast_forward(const Tensor& x, Tensor& y) {
  DDPM_NETWORK_FLOATS(x.dtype(), From, {
    DDPM_NETWORK_FLOATS(y.dtype(), To, {
      const From* __restrict in = x.data<From>();
      To* __restrict out = y.data<To>();
      parallel_ranges(y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = static_cast<To>(in[i]);
      });
    });
  });
}
void add_forward(const Tensor& a, const Tensor& b, Tensor& y) { map(math::Add{}, y, a, b); }
void subtract_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  map(math::Subtract{}, y, a, b);
}
void multiply_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  map(math::Multiply{}, y, a, b);
}
void scale_forward(const Tensor& x, double factor, Tensor& y) { map(math::Scale{factor}, y, x); }
void silu_forward(const Tensor& x, Tensor& y) { map(math::Silu{}, y, x); }
void silu_backward(const Tensor& x, const Tensor& dy, Tensor& dx) {
  map(math::SiluGrad{}, dx, x, dy);
}
void relu_forward(const Tensor& x, Tensor& y) { map(math::Relu{}, y, x); }
void relu_backward(const Tensor& x, const Tensor& dy, Tensor& dx) {
  map(math::ReluGrad{}, dx, x, dy);
}
void clamp_forward(const Tensor& x, double low, double high, Tensor& y) {
  map(math::Clamp{low, high}, y, x);
}
void clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx) {
  map(math::ClampGrad{low, high}, dx, x, dy);
}

}  // namespace cpu
}  // namespace ddpm
