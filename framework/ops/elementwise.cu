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

// Eight elements per thread: sixteen bytes of the narrower of bf16 and f32.
template <class From, class To>
__global__ void cast_kernel(const From* in, To* out, int64_t n) {
  constexpr int kCount = 8;
  const int64_t first = global_thread() * kCount;
  if (first + kCount <= n) {
    From values[kCount];
#pragma unroll
    for (int k = 0; k < kCount; ++k) values[k] = in[first + k];
#pragma unroll
    for (int k = 0; k < kCount; ++k) out[first + k] = static_cast<To>(values[k]);
  } else {
    for (int64_t i = first; i < n; ++i) out[i] = static_cast<To>(in[i]);
  }
}

}  // namespace

void fill(double value, Tensor& y) {
  DDPM_NETWORK_FLOATS(y.dtype(), T, { map(Constant<T>{static_cast<T>(value)}, y); });
}
void cast_forward(const Tensor& x, Tensor& y) {
  DDPM_NETWORK_FLOATS(x.dtype(), From, {
    DDPM_NETWORK_FLOATS(y.dtype(), To, {
      launch(cast_kernel<From, To>, blocks_for(ceil_div(y.numel(), 8)), kThreads, 0,
             static_cast<const From*>(x.data<From>()), y.data<To>(), y.numel());
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

}  // namespace ddpm::cuda
