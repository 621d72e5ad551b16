#include "framework/ops/dropout.h"

#include <algorithm>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/random/philox_block.h"

namespace ddpm {

Tensor dropout(const Tensor& x, double rate, const RandomStream& stream) {
  DDPM_CHECK(0 <= rate && rate < 1, "dropout: the rate {} is not in [0, 1)", rate);
  DDPM_CHECK(x.shape().rank() > 0, "dropout: x {} has no batch axis", x.shape());
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), dropout_forward(x, rate, stream, y));
  Tape::record("dropout", {x}, y, [slot = x.slot(), rate, stream](const Tensor& dy) {
    Tensor dx = Tensor::like(dy);
    DDPM_DISPATCH(dy.device(), dropout_forward(dy, rate, stream, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

namespace cpu {

void dropout_forward(const Tensor& x, double rate, const RandomStream& stream, Tensor& y) {
  const int64_t rows = x.shape()[0], row_size = x.numel() / std::max<int64_t>(1, rows);
  const int64_t* counter = stream.counter.data<int64_t>();
  const uint32_t threshold = dropout_threshold(rate);
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    using A = Accumulator<T>;
    const A keep = static_cast<A>(1 / (1 - rate));
    parallel_for(rows, [&](int64_t n) {
      const DrawId id{stream.site, static_cast<uint32_t>(counter[0]),
                      static_cast<uint32_t>(counter[1] + n)};
      uint32_t bits[kPhiloxBlock];
      for (int64_t first = 0; first < row_size; first += kPhiloxBlock) {
        philox_block(stream.seed, id, static_cast<uint32_t>(first), bits);
        const int64_t count = std::min<int64_t>(kPhiloxBlock, row_size - first);
        const int64_t offset = n * row_size + first;
        for (int64_t i = 0; i < count; ++i) {
          const A kept = keep * in[offset + i];  // not inside the choice: the loop is vectorised
          out[offset + i] = bits[i] >= threshold ? kept : A(0);
        }
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
