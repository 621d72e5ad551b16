#include "framework/ops/concat.h"

#include <cstring>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/elementwise.h"

namespace ddpm {
namespace {

bool same_but_channels(const Shape& a, const Shape& b) {
  return a.rank() == b.rank() && a.rank() > 0 && a.with_inner(1) == b.with_inner(1);
}

// Rows of `channels` elements from a tensor whose rows are `stride` elements apart, and back.
void copy_rows(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride,
               int64_t rows, int64_t channels, size_t element) {
  constexpr int64_t kRows = 64;
  cpu::parallel_ranges(rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + i * to_stride * static_cast<int64_t>(element),
                  from + i * from_stride * static_cast<int64_t>(element), channels * element);
  });
}

}  // namespace

Tensor concat_channels(const Tensor& a, const Tensor& b) {
  DDPM_CHECK(same_but_channels(a.shape(), b.shape()) && a.dtype() == b.dtype(),
             "concat_channels: {} and {} differ in more than their channels", a.shape(), b.shape());
  const int64_t channels = a.shape()[-1] + b.shape()[-1];
  Tensor y = Tensor::empty(a.shape().with_inner(channels), a.dtype(), a.device());
  DDPM_DISPATCH(a.device(), concat(a, b, y));
  Tape::record("concat_channels", {a, b}, y, [da = a.slot(), db = b.slot()](const Tensor& dy) {
    Tensor da_part, db_part;
    if (da->requires_grad) da_part = Tensor::empty(da->shape, dy.dtype(), dy.device());
    if (db->requires_grad) db_part = Tensor::empty(db->shape, dy.dtype(), dy.device());
    DDPM_DISPATCH(dy.device(), split(dy, da_part, db_part));
    if (da_part) accumulate_grad(da, da_part);
    if (db_part) accumulate_grad(db, db_part);
  });
  return y;
}

std::pair<Tensor, Tensor> split_channels(const Tensor& x, int64_t first) {
  const int64_t channels = x.shape().rank() > 0 ? x.shape()[-1] : 0;
  DDPM_CHECK(0 < first && first < channels, "split_channels: {} of the channels of {}", first,
             x.shape());
  Tensor a = Tensor::empty(x.shape().with_inner(first), x.dtype(), x.device());
  Tensor b = Tensor::empty(x.shape().with_inner(channels - first), x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), split(x, a, b));
  // Each part delivers its own contribution, the other half being zero.
  const auto deliver = [slot = x.slot()](const Tensor& da, const Tensor& db) {
    Tensor dx = Tensor::empty(slot->shape, da.dtype(), da.device());
    DDPM_DISPATCH(da.device(), concat(da, db, dx));
    accumulate_grad(slot, dx);
  };
  const auto zeros_like = [](const GradRef& slot, const Tensor& t) {
    return full(slot->shape, 0, t.dtype(), t.device());
  };
  Tape::record("split_channels/first", {x}, a,
               [=, other = b.slot()](const Tensor& da) { deliver(da, zeros_like(other, da)); });
  Tape::record("split_channels/second", {x}, b,
               [=, other = a.slot()](const Tensor& db) { deliver(zeros_like(other, db), db); });
  return {a, b};
}

namespace cpu {

void concat(const Tensor& a, const Tensor& b, Tensor& y) {
  const int64_t ca = a.shape()[-1], cb = b.shape()[-1], rows = y.numel() / (ca + cb);
  const size_t element = size_of(y.dtype());
  copy_rows(a.raw(), ca, y.raw(), ca + cb, rows, ca, element);
  copy_rows(b.raw(), cb, y.raw() + ca * element, ca + cb, rows, cb, element);
}

void split(const Tensor& y, Tensor& a, Tensor& b) {
  const int64_t channels = y.shape()[-1], rows = y.numel() / channels;
  const int64_t ca = a ? a.shape()[-1] : channels - b.shape()[-1], cb = channels - ca;
  const size_t element = size_of(y.dtype());
  if (a) copy_rows(y.raw(), channels, a.raw(), ca, rows, ca, element);
  if (b) copy_rows(y.raw() + ca * element, channels, b.raw(), cb, rows, cb, element);
}

}  // namespace cpu
}  // namespace ddpm
