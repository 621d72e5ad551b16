#include "framework/cpu/attention_amx.h"

#if defined(__x86_64__)
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "framework/cpu/amx.h"
#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cpu/scratch.h"
#include "framework/cpu/softmax_rows.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")

#include "framework/cpu/amx_tiles.h"
// In this order.
#include "framework/cpu/amx_product.h"

namespace ddpm::cpu {
namespace {

// Operands from tensors of T, and from what is computed of them in f32.
template <class T>
using TensorValues = std::conditional_t<std::is_same_v<T, float>, F32Values, Bf16Values>;
template <class T>
using ComputedValues = std::conditional_t<std::is_same_v<T, float>, F32Values, RoundedValues>;
template <class T>
inline constexpr int kPartsOf = TensorValues<T>::kParts;

// Where the heads lie in (N, T, C), and which rows of Q a piece has at a time.
struct Heads {
  int64_t length, channels, heads, width, count, block;
  float scale;

  Heads(const Shape& query, int heads_per_image)
      : length(query[1]),
        channels(query[2]),
        heads(heads_per_image),
        width(channels / heads),
        count(query[0] * heads),
        // Few heads are shared out by blocks of rows.
        block(std::min<int64_t>(length, count >= 8 ? 256 : 128)),
        scale(static_cast<float>(1 / std::sqrt(static_cast<double>(width)))) {}

  int64_t blocks() const { return (length + block - 1) / block; }
  template <class T>
  T* rows(const Tensor& t, int64_t head, int64_t begin) const {
    return t.data<T>() + (head / heads * length + begin) * channels + head % heads * width;
  }
  template <class T>
  T* weights(const Tensor& t, int64_t head, int64_t begin) const {
    return t.data<T>() + (head * length + begin) * length;
  }
};

// Hands out parts of a piece's scratch, each a whole number of cache lines.
class Taker {
 public:
  explicit Taker(bf16* scratch) : next_(scratch) {}
  bf16* packed(int64_t size) { return std::exchange(next_, next_ + size); }
  float* floats(int64_t size) { return reinterpret_cast<float*>(packed(size_of(size))); }
  static int64_t size_of(int64_t floats) { return (floats + 15) / 16 * 32; }

 private:
  bf16* next_;
};

void store(const float* from, int64_t from_stride, int64_t rows, int64_t columns, bf16* to,
           int64_t stride) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[i * stride + j] = bf16(from[i * from_stride + j]);
}

void widen_rows(const bf16* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

template <class T>
void forward(const Heads& h, const Tensor& query, const Tensor& key, const Tensor& value,
             const Tensor& weights, const Tensor& y) {
  using Values = TensorValues<T>;
  using Computed = ComputedValues<T>;
  constexpr bool kRounds = std::is_same_v<T, bf16>;
  const int64_t q_size = packed_size<Values>(h.block, h.width);
  const int64_t k_size = packed_size<Values>(h.length, h.width);
  const int64_t v_size = packed_size<Values>(h.width, h.length);
  const int64_t p_size = packed_size<Computed>(h.block, h.length);
  const int64_t size = q_size + k_size + v_size + p_size + Taker::size_of(h.block * h.length) +
                       Taker::size_of(h.block * h.width);
  parallel_for_scratch<bf16>(h.count * h.blocks(), size, [&](int64_t i, bf16* scratch) {
    const TileScope tiles_of_this_thread;
    Taker take(scratch);
    const int64_t head = i / h.blocks(), begin = i % h.blocks() * h.block;
    const int64_t rows = std::min(h.block, h.length - begin);
    bf16 *const q_packed = take.packed(q_size), *const k_packed = take.packed(k_size);
    bf16 *const v_packed = take.packed(v_size), *const p_packed = take.packed(p_size);
    float *const scores = take.floats(h.block * h.length), *y_rows = take.floats(h.block * h.width);
    float* p = scores;
    if constexpr (!kRounds)
      if (weights) p = h.weights<float>(weights, head, begin);

    pack_left<Values>(h.rows<T>(query, head, begin), h.channels, rows, h.width, q_packed);
    pack_right_transposed<Values>(h.rows<T>(key, head, 0), h.channels, h.length, h.width, k_packed);
    product<kPartsOf<T>>(q_packed, k_packed, rows, h.length, h.width, false, p, h.length);
    auto p_matrix = matrix(p, rows, h.length, h.length);
    softmax_rows(p_matrix, h.scale);
    if constexpr (kRounds)
      if (weights) store(p, h.length, rows, h.length, h.weights<T>(weights, head, begin), h.length);

    pack_left<Computed>(p, h.length, rows, h.length, p_packed);
    pack_right<Values>(h.rows<T>(value, head, 0), h.channels, h.width, h.length, v_packed);
    T* const out = h.rows<T>(y, head, begin);
    if constexpr (kRounds) {
      product<kPartsOf<T>>(p_packed, v_packed, rows, h.width, h.length, false, y_rows, h.width);
      store(y_rows, h.width, rows, h.width, out, h.channels);
    } else {
      product<kPartsOf<T>>(p_packed, v_packed, rows, h.width, h.length, false, out, h.channels);
    }
  });
}

// See attention.cpp for the formulas. A piece is a head: every block of rows adds to dkey and
// dvalue.
template <class T>
void backward(const Heads& h, const Tensor& query, const Tensor& key, const Tensor& value,
              const Tensor& weights, const Tensor& dy, const Tensor& dquery, const Tensor& dkey,
              const Tensor& dvalue) {
  using Values = TensorValues<T>;
  using Computed = ComputedValues<T>;
  constexpr int kParts = kPartsOf<T>;
  constexpr bool kRounds = std::is_same_v<T, bf16>;
  const int64_t keys_size = packed_size<Values>(h.length, h.width);   // V^T
  const int64_t deep_size = packed_size<Values>(h.width, h.length);   // K
  const int64_t rows_size = packed_size<Values>(h.block, h.width);    // dY
  const int64_t wide_size = packed_size<Values>(h.width, h.block);    // dY, Q
  const int64_t ds_size = packed_size<Computed>(h.block, h.length);   // dS
  const int64_t dst_size = packed_size<Computed>(h.length, h.block);  // P^T, dS^T
  const int64_t size = keys_size + deep_size + rows_size + wide_size + ds_size + dst_size +
                       2 * Taker::size_of(h.block * h.length) +
                       2 * Taker::size_of(h.length * h.width) + Taker::size_of(h.block * h.width);
  parallel_for_scratch<bf16>(h.count, size, [&](int64_t head, bf16* scratch) {
    const TileScope tiles_of_this_thread;
    Taker take(scratch);
    bf16 *const v_packed = take.packed(keys_size), *const k_packed = take.packed(deep_size);
    bf16 *const dy_rows = take.packed(rows_size), *const wide = take.packed(wide_size);
    bf16 *const ds_packed = take.packed(ds_size), *const transposed = take.packed(dst_size);
    float *const ds = take.floats(h.block * h.length), *widened = take.floats(h.block * h.length);
    float *dk = take.floats(h.length * h.width), *dv = take.floats(h.length * h.width);
    float* dq = take.floats(h.block * h.width);
    int64_t stride = h.width;  // of the last three
    if constexpr (!kRounds) {
      stride = h.channels;
      dk = h.rows<T>(dkey, head, 0);
      dv = h.rows<T>(dvalue, head, 0);
    }

    const T* const k = h.rows<T>(key, head, 0);
    pack_right_transposed<Values>(h.rows<T>(value, head, 0), h.channels, h.length, h.width,
                                  v_packed);
    pack_right<Values>(k, h.channels, h.width, h.length, k_packed);
    for (int64_t begin = 0; begin < h.length; begin += h.block) {
      const int64_t rows = std::min(h.block, h.length - begin);
      const bool adds = begin > 0;
      const T *const dy_block = h.rows<T>(dy, head, begin), *const q =
                                                                h.rows<T>(query, head, begin);
      const T* const p = h.weights<T>(weights, head, begin);
      if constexpr (!kRounds) dq = h.rows<T>(dquery, head, begin);

      pack_left<Values>(dy_block, h.channels, rows, h.width, dy_rows);
      product<kParts>(dy_rows, v_packed, rows, h.length, h.width, false, ds, h.length);
      auto ds_matrix = matrix(ds, rows, h.length, h.length);
      if constexpr (kRounds) {
        widen_rows(p, rows * h.length, widened);
        softmax_rows_backward(matrix(widened, rows, h.length, h.length), ds_matrix, h.scale);
      } else {
        softmax_rows_backward(matrix(p, rows, h.length, h.length), ds_matrix, h.scale);
      }

      pack_left<Computed>(ds, h.length, rows, h.length, ds_packed);
      product<kParts>(ds_packed, k_packed, rows, h.width, h.length, false, dq, stride);
      if constexpr (kRounds)
        store(dq, stride, rows, h.width, h.rows<T>(dquery, head, begin), h.channels);

      pack_left_transposed<Values>(p, h.length, h.length, rows, transposed);
      pack_right<Values>(dy_block, h.channels, h.width, rows, wide);
      product<kParts>(transposed, wide, h.length, h.width, rows, adds, dv, stride);
      pack_left_transposed<Computed>(ds, h.length, h.length, rows, transposed);
      pack_right<Values>(q, h.channels, h.width, rows, wide);
      product<kParts>(transposed, wide, h.length, h.width, rows, adds, dk, stride);
    }
    if constexpr (kRounds) {
      store(dk, stride, h.length, h.width, h.rows<T>(dkey, head, 0), h.channels);
      store(dv, stride, h.length, h.width, h.rows<T>(dvalue, head, 0), h.channels);
    }
  });
}

}  // namespace
}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

// Narrow heads would fill a small part of the tiles.
bool amx_attention_supports(const Tensor& query, int heads) {
  const bool is_precise = query.dtype() == DType::kF32 && may_split_f32();
  return (is_precise || query.dtype() == DType::kBf16) && query.shape()[2] / heads >= 16 &&
         query.shape()[1] >= 16 && has_amx();
}

void amx_attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                           const Tensor& weights, const Tensor& y) {
  const Heads h(query.shape(), heads);
  if (query.dtype() == DType::kBf16)
    forward<bf16>(h, query, key, value, weights, y);
  else
    forward<float>(h, query, key, value, weights, y);
}

void amx_attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                            const Tensor& weights, int heads, const Tensor& dy,
                            const Tensor& dquery, const Tensor& dkey, const Tensor& dvalue) {
  const Heads h(query.shape(), heads);
  if (query.dtype() == DType::kBf16)
    backward<bf16>(h, query, key, value, weights, dy, dquery, dkey, dvalue);
  else
    backward<float>(h, query, key, value, weights, dy, dquery, dkey, dvalue);
}

}  // namespace ddpm::cpu
#endif
