// CUDA kernels of elementwise.h; the formulas are those of scalar_math.h.
#include "framework/cuda/map.cuh"
#include "framework/ops/elementwise.h"
#include "framework/ops/scalar_math.h"

namespace ddpm::cuda {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

}  // namespace

void fill(double value, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, { map(Constant<T>{static_cast<T>(value)}, y); });
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

}  // namespace ddpm::cuda
