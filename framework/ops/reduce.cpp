#include "framework/ops/reduce.h"

#include <algorithm>
#include <vector>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

Tensor row_sum(const char* name, const Tensor& x, int64_t rows, double factor) {
  Tensor y = Tensor::empty({rows}, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), row_sum_forward(x, rows, factor, y));
  Tape::record(name, {x}, y, [slot = x.slot(), like = x.dtype(), rows, factor](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, like, dy.device());
    DDPM_DISPATCH(dy.device(), row_sum_backward(dy, rows, factor, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

}  // namespace

Tensor sum(const Tensor& x) { return row_sum("sum", x, 1, 1); }

Tensor mean(const Tensor& x) {
  DDPM_CHECK(x.numel() > 0, "mean: the tensor {} is empty", x.shape());
  return row_sum("mean", x, 1, 1.0 / static_cast<double>(x.numel()));
}

Tensor row_mean(const Tensor& x) {
  DDPM_CHECK(x.shape().rank() > 0 && x.numel() > 0, "row_mean: the tensor {} is empty", x.shape());
  const int64_t rows = x.shape()[0];
  return row_sum("row_mean", x, rows, static_cast<double>(rows) / static_cast<double>(x.numel()));
}

Tensor spatial_mean(const Tensor& x) {
  DDPM_CHECK(x.shape().rank() == 4, "spatial_mean: x {} is not (N, H, W, C)", x.shape());
  Tensor y = Tensor::empty({x.shape()[0], x.shape()[3]}, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), spatial_mean_forward(x, y));
  Tape::record("spatial_mean", {x}, y, [slot = x.slot()](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), spatial_mean_backward(dy, dx));
    accumulate_grad(slot, dx);
  });
  return y;
}

namespace cpu {
namespace {

// Independent partial sums let the compiler vectorise, and bound the rounding error of long rows.
template <class T>
double ordered_sum(const T* x, int64_t n) {
  constexpr int kLanes = 16;
  constexpr int64_t kBlock = 4096;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    T lanes[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (int l = 0; l < kLanes; ++l) lanes[l] += x[i + l];
    for (; i < end; ++i) lanes[0] += x[i];
    for (T lane : lanes) total += static_cast<double>(lane);
  }
  return total;
}

}  // namespace

void row_sum_forward(const Tensor& x, int64_t rows, double factor, Tensor& y) {
  const int64_t columns = x.numel() / rows;
  DDPM_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    if (rows > 1) {
      parallel_for(rows, [&](int64_t i) {
        out[i] = static_cast<T>(factor * ordered_sum(in + i * columns, columns));
      });
      return;
    }
    std::vector<double> partial((columns + kElementGrain - 1) / kElementGrain);
    parallel_ranges(columns, kElementGrain, [&](int64_t begin, int64_t end) {
      partial[begin / kElementGrain] = ordered_sum(in + begin, end - begin);
    });
    double total = 0;
    for (double p : partial) total += p;
    out[0] = static_cast<T>(factor * total);
  });
}

void row_sum_backward(const Tensor& dy, int64_t rows, double factor, Tensor& dx) {
  const int64_t columns = dx.numel() / rows;
  DDPM_FLOATS(dy.dtype(), T, {
    const T* in = dy.data<T>();
    T* out = dx.data<T>();
    parallel_ranges(dx.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(factor) * in[i / columns];
    });
  });
}

void column_sum(const Tensor& x, int64_t columns, Tensor& y) {
  // A piece owns a block of columns and walks all rows: no partial sums to merge.
  constexpr int64_t kColumns = 32, kRowBlock = 256;
  const int64_t rows = x.numel() / columns;
  DDPM_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_ranges(columns, kColumns, [&](int64_t begin, int64_t end) {
      double total[kColumns] = {};
      for (int64_t row = 0; row < rows; row += kRowBlock) {
        T partial[kColumns] = {};
        for (int64_t i = row; i < std::min(rows, row + kRowBlock); ++i)
          for (int64_t j = begin; j < end; ++j) partial[j - begin] += in[i * columns + j];
        for (int64_t j = 0; j < end - begin; ++j) total[j] += static_cast<double>(partial[j]);
      }
      for (int64_t j = begin; j < end; ++j) out[j] = static_cast<T>(total[j - begin]);
    });
  });
}

void spatial_mean_forward(const Tensor& x, Tensor& y) {
  const int64_t samples = x.shape()[0], channels = x.shape()[3];
  const int64_t positions = x.shape()[1] * x.shape()[2];
  DDPM_FLOATS(x.dtype(), T, {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(samples, [&](int64_t n) {
      for (int64_t c = 0; c < channels; ++c) out[n * channels + c] = 0;
      for (int64_t p = 0; p < positions; ++p)
        for (int64_t c = 0; c < channels; ++c)
          out[n * channels + c] += in[(n * positions + p) * channels + c];
      for (int64_t c = 0; c < channels; ++c) out[n * channels + c] /= static_cast<T>(positions);
    });
  });
}

void spatial_mean_backward(const Tensor& dy, Tensor& dx) {
  const int64_t channels = dx.shape()[3], positions = dx.shape()[1] * dx.shape()[2];
  DDPM_FLOATS(dy.dtype(), T, {
    const T* in = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(dx.shape()[0] * positions, [&](int64_t i) {
      const T* row = in + i / positions * channels;
      for (int64_t c = 0; c < channels; ++c)
        out[i * channels + c] = row[c] / static_cast<T>(positions);
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
