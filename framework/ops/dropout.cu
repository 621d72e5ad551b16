// CUDA kernel of dropout.h: a thread draws the four words of a counter and masks four elements.
#include "framework/ops/dropout.h"
#include "framework/random/philox_block.h"
#include "framework/random/random_rows.cuh"

namespace ddpm::cuda {
namespace {

template <class T>
struct Mask {
  using A = Accumulator<T>;
  uint32_t threshold;
  A keep;
  const T* x;
  T* y;
  template <class Width>
  __device__ void operator()(int64_t first, int count, const Bits4& bits, Width) const {
    for (int k = 0; k < count; k += Width::value) {
      auto values = load_packed<T, Width::value>(x + first + k);
      for (int j = 0; j < Width::value; ++j)
        values.v[j] = bits.v[k + j] >= threshold ? keep * values.v[j] : A(0);
      store_packed(y + first + k, values);
    }
  }
};

}  // namespace

void dropout_forward(const Tensor& x, double rate, const RandomStream& stream, Tensor& y) {
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_each_quad<T>(
        stream, y,
        Mask<T>{dropout_threshold(rate), static_cast<Accumulator<T>>(1 / (1 - rate)), in, out}, in,
        out);
  });
}

}  // namespace ddpm::cuda
