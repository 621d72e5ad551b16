#include "framework/ops/reduce.h"

#include <algorithm>
#include <vector>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/elementwise.h"

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
  DDPM_CHECK(x.shape().rank() == 4 && x.numel() > 0, "spatial_mean: x {} is not (N, H, W, C)",
             x.shape());
  const double factor = 1 / static_cast<double>(x.shape()[1] * x.shape()[2]);
  Tensor means = Tensor::empty({x.shape()[0], x.shape()[3]}, accumulator_of(x.dtype()), x.device());
  DDPM_DISPATCH(x.device(), position_sum_forward(x, factor, means));
  const Tensor y = cast(means, x.dtype());
  Tape::record("spatial_mean", {x}, y, [slot = x.slot(), factor](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), position_sum_backward(dy, factor, dx));
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

// y[n, c] = factor * sum over the positions of x[n, position, c]. A piece owns a block of channels
// of a sample and walks its positions: no partial sums to merge.
void sum_positions(const Tensor& x, int64_t samples, int64_t channels, double factor, Tensor& y) {
  constexpr int64_t kChannels = 32, kBlock = 256;
  const int64_t tiles = (channels + kChannels - 1) / kChannels;
  const int64_t positions = x.numel() / std::max<int64_t>(1, y.numel());
  DDPM_NETWORK_FLOATS(x.dtype(), T, {
    using A = Accumulator<T>;
    parallel_for(samples * tiles, [&](int64_t i) {
      const int64_t n = i / tiles, first = i % tiles * kChannels;
      const int64_t width = std::min(kChannels, channels - first);
      const T* in = x.data<T>() + n * positions * channels + first;
      A* out = y.data<A>() + n * channels + first;
      double total[kChannels] = {};
      for (int64_t begin = 0; begin < positions; begin += kBlock) {
        A partial[kChannels] = {};
        for (int64_t p = begin; p < std::min(positions, begin + kBlock); ++p)
          for (int64_t c = 0; c < width; ++c) partial[c] += in[p * channels + c];
        for (int64_t c = 0; c < width; ++c) total[c] += static_cast<double>(partial[c]);
      }
      for (int64_t c = 0; c < width; ++c) out[c] = static_cast<A>(factor * total[c]);
    });
  });
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

void column_sum(const Tensor& x, int64_t columns, Tensor& y) { sum_positions(x, 1, columns, 1, y); }

void position_sum_forward(const Tensor& x, double factor, Tensor& y) {
  sum_positions(x, y.shape()[0], y.shape()[1], factor, y);
}

void position_sum_backward(const Tensor& dy, double factor, Tensor& dx) {
  const int64_t channels = dy.shape()[1], positions = dx.numel() / std::max<int64_t>(1, dy.numel());
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    const T* in = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(dy.shape()[0] * positions, [&](int64_t i) {
      const T* row = in + i / positions * channels;
      for (int64_t c = 0; c < channels; ++c)
        out[i * channels + c] = static_cast<Accumulator<T>>(factor) * row[c];
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
