#include "framework/ops/embedding.h"

#include <algorithm>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"

namespace ddpm {

Tensor embedding(const Tensor& table, const Tensor& rows) {
  DDPM_CHECK(table.shape().rank() == 2, "embedding: the table {} is not (K, D)", table.shape());
  DDPM_CHECK(rows.dtype() == DType::kI32 && rows.shape().rank() == 1,
             "embedding: rows are {} {}, not (N) i32", name_of(rows.dtype()), rows.shape());
  Tensor y = Tensor::empty({rows.shape()[0], table.shape()[1]}, table.dtype(), table.device());
  DDPM_DISPATCH(y.device(), embedding_forward(table, rows, y));
  Tape::record("embedding", {table}, y, [table, rows](const Tensor& dy) {
    Tensor dtable = grad_buffer(table);
    DDPM_DISPATCH(dy.device(), embedding_backward(dy, rows, dtable));
    accumulate_grad(table.slot(), dtable);
  });
  return y;
}

namespace cpu {

void embedding_forward(const Tensor& table, const Tensor& rows, Tensor& y) {
  const int64_t width = y.shape()[1];
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    for (int64_t n = 0; n < rows.numel(); ++n)
      std::copy_n(table.data<T>() + rows.data<int32_t>()[n] * width, width,
                  y.data<T>() + n * width);
  });
}

void embedding_backward(const Tensor& dy, const Tensor& rows, Tensor& dtable) {
  const int64_t width = dy.shape()[1];
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    using A = Accumulator<T>;
    parallel_for(dtable.shape()[0], [&](int64_t k) {
      A* sum = dtable.data<A>() + k * width;
      std::fill_n(sum, width, A(0));
      for (int64_t n = 0; n < rows.numel(); ++n) {
        if (rows.data<int32_t>()[n] != k) continue;
        const T* row = dy.data<T>() + n * width;
        for (int64_t i = 0; i < width; ++i) sum[i] += static_cast<A>(row[i]);
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
