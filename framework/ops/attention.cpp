#include "framework/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "framework/autograd/tape.h"
#include "framework/cpu/gemm.h"
#include "framework/cpu/scratch.h"

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
  auto rows(const Tensor& t, int64_t head, int64_t begin, int64_t rows) const {
    T* origin = t.data<T>() + (head / heads * length + begin) * channels + head % heads * width;
    return matrix(origin, rows, width, channels);
  }
  template <class T>
  auto all(const Tensor& t, int64_t head) const {
    return rows<T>(t, head, 0, length);
  }
};

}  // namespace

void attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                       Tensor& weights, Tensor& y) {
  const Heads h(query.shape(), heads);
  const int64_t blocks = (h.length + kQueries - 1) / kQueries;
  const int64_t pieces = query.shape()[0] * heads * blocks;
  DDPM_FLOATS(query.dtype(), T, {
    T* kept = weights ? weights.data<T>() : nullptr;
    const int64_t elements = kept ? 0 : std::min(kQueries, h.length) * h.length;
    parallel_for_scratch<T>(pieces, elements, [&](int64_t i, T* scratch) {
      const int64_t head = i / blocks, begin = i % blocks * kQueries;
      const int64_t rows = std::min(kQueries, h.length - begin);
      T* origin = kept ? kept + (head * h.length + begin) * h.length : scratch;
      auto p = matrix(origin, rows, h.length, h.length);
      p.noalias() = h.rows<T>(query, head, begin, rows) * h.all<T>(key, head).transpose();
      for (int64_t j = 0; j < rows; ++j) {
        auto row = p.row(j).array();
        row = ((row - row.maxCoeff()) * static_cast<T>(h.scale)).exp();
        row *= 1 / row.sum();
      }
      h.rows<T>(y, head, begin, rows).noalias() = p * h.all<T>(value, head);
    });
  });
}

// With dP = dY V^T:  dS = P * (dP - rowsum(dP * P)), and S = Q K^T / sqrt(width). A piece is a
// whole head, because every block of queries adds to all rows of dkey and dvalue.
void attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& weights, int heads, const Tensor& dy, Tensor& dquery,
                        Tensor& dkey, Tensor& dvalue) {
  const Heads h(query.shape(), heads);
  DDPM_FLOATS(query.dtype(), T, {
    const int64_t elements = std::min(kQueries, h.length) * h.length;
    parallel_for_scratch<T>(query.shape()[0] * heads, elements, [&](int64_t head, T* scratch) {
      auto dk = h.all<T>(dkey, head);
      auto dv = h.all<T>(dvalue, head);
      dk.setZero();
      dv.setZero();
      for (int64_t begin = 0; begin < h.length; begin += kQueries) {
        const int64_t rows = std::min(kQueries, h.length - begin);
        const T* kept = weights.data<T>() + (head * h.length + begin) * h.length;
        const auto p = matrix(kept, rows, h.length, h.length);
        const auto dy_rows = h.rows<T>(dy, head, begin, rows);
        auto ds = matrix(scratch, rows, h.length, h.length);
        ds.noalias() = dy_rows * h.all<T>(value, head).transpose();
        for (int64_t j = 0; j < rows; ++j) {
          const T dot = ds.row(j).dot(p.row(j));
          ds.row(j).array() =
              p.row(j).array() * (ds.row(j).array() - dot) * static_cast<T>(h.scale);
        }
        dv.noalias() += p.transpose() * dy_rows;
        h.rows<T>(dquery, head, begin, rows).noalias() = ds * h.all<T>(key, head);
        dk.noalias() += ds.transpose() * h.rows<T>(query, head, begin, rows);
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
