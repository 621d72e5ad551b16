#include "framework/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "framework/autograd/tape.h"
#include "framework/cpu/attention_amx.h"
#include "framework/cpu/scratch.h"
#include "framework/cpu/softmax_rows.h"

namespace ddpm {

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, int heads) {
  DDPM_CHECK(query.shape().rank() == 3, "attention: query {} is not (N, T, C)", query.shape());
  DDPM_CHECK(query.shape() == key.shape() && query.shape() == value.shape(),
             "attention: query {}, key {} and value {} differ", query.shape(), key.shape(),
             value.shape());
  DDPM_CHECK(query.dtype() == key.dtype() && query.dtype() == value.dtype() &&
                 query.device() == key.device() && query.device() == value.device(),
             "attention: query, key and value differ in type or device");
  const int64_t images = query.shape()[0], length = query.shape()[1], channels = query.shape()[2];
  DDPM_CHECK(heads >= 1 && channels % heads == 0, "attention: {} channels in {} heads", channels,
             heads);
  Tensor weights;  // kept for backward only
  if (Tape::is_recording({query, key, value}))
    weights = Tensor::empty({images, heads, length, length}, query.dtype(), query.device());
  Tensor y = Tensor::like(query);
  DDPM_DISPATCH(query.device(), attention_forward(query, key, value, heads, weights, y));
  Tape::record("attention", {query, key, value}, y, [=](const Tensor& dy) {
    Tensor dquery = Tensor::like(query), dkey = Tensor::like(key), dvalue = Tensor::like(value);
    DDPM_DISPATCH(dy.device(),
                  attention_backward(query, key, value, weights, heads, dy, dquery, dkey, dvalue));
    accumulate_grad(query.slot(), dquery);
    accumulate_grad(key.slot(), dkey);
    accumulate_grad(value.slot(), dvalue);
  });
  return y;
}

namespace cpu {
namespace {

constexpr int64_t kQueries = 128;  // rows of P that are in work at a time

// A matrix inside a tensor: rows of `columns` elements, `stride` apart.
template <class T>
struct Rows {
  T* data;
  int64_t rows, columns, stride;
};

// Where the heads lie in (N, T, C) and (N, heads, T, T).
struct Heads {
  int64_t length, channels, heads, width;
  double scale;

  Heads(const Shape& query, int count)
      : length(query[1]),
        channels(query[2]),
        heads(count),
        width(query[2] / count),
        scale(1 / std::sqrt(static_cast<double>(width))) {}

  // Rows begin .. begin + rows - 1 of one head: (rows, width).
  template <class T>
  Rows<T> rows(const Tensor& t, int64_t head, int64_t begin, int64_t rows) const {
    T* origin = t.data<T>() + (head / heads * length + begin) * channels + head % heads * width;
    return {origin, rows, width, channels};
  }
  template <class T>
  Rows<T> all(const Tensor& t, int64_t head) const {
    return rows<T>(t, head, 0, length);
  }
  // The same rows of the head's P: (rows, T).
  template <class T>
  Rows<T> weights(const Tensor& t, int64_t head, int64_t begin, int64_t rows) const {
    return {t.data<T>() + (head * length + begin) * length, rows, length, length};
  }
};

// Products read and write matrices of the accumulator type: those of bf16 are in scratch, all
// others lie where they are.
template <class T>
inline constexpr bool kNeedsScratch = !std::is_same_v<T, Accumulator<T>>;

template <class T>
auto unrounded(const Rows<T>& x, Accumulator<T>* scratch) {
  if constexpr (kNeedsScratch<T>)
    return matrix(scratch, x.rows, x.columns, x.columns);
  else
    return matrix(x.data, x.rows, x.columns, x.stride);
}

template <class T>
auto widened(const Rows<T>& x, Accumulator<T>* scratch) {
  auto result = unrounded(x, scratch);
  if constexpr (kNeedsScratch<T>)
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t j = 0; j < x.columns; ++j) result(i, j) = x.data[i * x.stride + j];
  return result;
}

// Rounds the result x = unrounded(y, scratch) to where it belongs.
template <class T, class Unrounded>
void store(const Unrounded& x, const Rows<T>& y) {
  if constexpr (kNeedsScratch<T>)
    for (int64_t i = 0; i < y.rows; ++i)
      for (int64_t j = 0; j < y.columns; ++j) y.data[i * y.stride + j] = x(i, j);
}

}  // namespace

void attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                       Tensor& weights, Tensor& y) {
#if defined(__x86_64__)
  if (amx_attention_supports(query, heads))
    return amx_attention_forward(query, key, value, heads, weights, y);
#endif
  const Heads h(query.shape(), heads);
  const int64_t blocks = (h.length + kQueries - 1) / kQueries;
  const int64_t pieces = query.shape()[0] * heads * blocks;
  DDPM_NETWORK_FLOATS(query.dtype(), T, {
    using A = Accumulator<T>;
    const int64_t block = std::min(kQueries, h.length);
    const int64_t p_size = weights && !kNeedsScratch<T> ? 0 : block * h.length;
    const int64_t block_size = kNeedsScratch<T> ? block * h.width : 0;
    const int64_t head_size = kNeedsScratch<T> ? h.length * h.width : 0;
    parallel_for_scratch<A>(pieces, p_size + block_size + head_size, [&](int64_t i, A* scratch) {
      const int64_t head = i / blocks, begin = i % blocks * kQueries;
      const int64_t rows = std::min(kQueries, h.length - begin);
      A* const q_or_y = scratch + p_size;
      A* const k_or_v = q_or_y + block_size;
      auto p = weights ? unrounded(h.weights<T>(weights, head, begin, rows), scratch)
                       : matrix(scratch, rows, h.length, h.length);
      p.noalias() = widened(h.rows<T>(query, head, begin, rows), q_or_y) *
                    widened(h.all<T>(key, head), k_or_v).transpose();
      softmax_rows(p, static_cast<A>(h.scale));
      if (weights) store(p, h.weights<T>(weights, head, begin, rows));
      const Rows<T> y_rows = h.rows<T>(y, head, begin, rows);
      auto result = unrounded(y_rows, q_or_y);
      result.noalias() = p * widened(h.all<T>(value, head), k_or_v);
      store(result, y_rows);
    });
  });
}

// With dP = dY V^T:  dS = P * (dP - rowsum(dP * P)), and S = Q K^T / sqrt(width). A piece is a
// whole head, because every block of queries adds to all rows of dkey and dvalue.
void attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& weights, int heads, const Tensor& dy, Tensor& dquery,
                        Tensor& dkey, Tensor& dvalue) {
#if defined(__x86_64__)
  if (amx_attention_supports(query, heads))
    return amx_attention_backward(query, key, value, weights, heads, dy, dquery, dkey, dvalue);
#endif
  const Heads h(query.shape(), heads);
  DDPM_NETWORK_FLOATS(query.dtype(), T, {
    using A = Accumulator<T>;
    const int64_t block = std::min(kQueries, h.length);
    const int64_t ds_size = block * h.length;
    const int64_t p_size = kNeedsScratch<T> ? ds_size : 0;
    const int64_t block_size = kNeedsScratch<T> ? block * h.width : 0;
    const int64_t head_size = kNeedsScratch<T> ? h.length * h.width : 0;
    const int64_t elements = ds_size + p_size + 2 * block_size + 4 * head_size;
    parallel_for_scratch<A>(query.shape()[0] * heads, elements, [&](int64_t head, A* scratch) {
      const auto take = [&](int64_t size) { return std::exchange(scratch, scratch + size); };
      A *const ds_scratch = take(ds_size), *const p_scratch = take(p_size);
      A *const q_or_dq = take(block_size), *const dy_scratch = take(block_size);
      const auto k = widened(h.all<T>(key, head), take(head_size));
      const auto v = widened(h.all<T>(value, head), take(head_size));
      auto dk = unrounded(h.all<T>(dkey, head), take(head_size));
      auto dv = unrounded(h.all<T>(dvalue, head), take(head_size));
      dk.setZero();
      dv.setZero();
      for (int64_t begin = 0; begin < h.length; begin += kQueries) {
        const int64_t rows = std::min(kQueries, h.length - begin);
        const auto p = widened(h.weights<T>(weights, head, begin, rows), p_scratch);
        const auto q = widened(h.rows<T>(query, head, begin, rows), q_or_dq);
        const auto dy_rows = widened(h.rows<T>(dy, head, begin, rows), dy_scratch);
        auto ds = matrix(ds_scratch, rows, h.length, h.length);
        ds.noalias() = dy_rows * v.transpose();
        softmax_rows_backward(p, ds, static_cast<A>(h.scale));
        dv.noalias() += p.transpose() * dy_rows;
        dk.noalias() += ds.transpose() * q;
        const Rows<T> dq_rows = h.rows<T>(dquery, head, begin, rows);
        auto dq = unrounded(dq_rows, q_or_dq);
        dq.noalias() = ds * k;
        store(dq, dq_rows);
      }
      store(dk, h.all<T>(dkey, head));
      store(dv, h.all<T>(dvalue, head));
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
