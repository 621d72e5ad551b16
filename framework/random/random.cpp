#include "framework/random/random.h"

#include <algorithm>
#include <cstring>

#include "framework/cpu/parallel.h"
#include "framework/random/permutation.h"
#include "framework/random/philox_block.h"

namespace ddpm {

uint32_t random_site(std::string_view path) {
  uint32_t hash = 2166136261u;
  for (const char c : path) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

Tensor random_counter(int64_t step, int64_t first_row, Device device) {
  return Tensor::from_host<int64_t>({step, first_row}, {2}, device);
}

void fill_normal(const RandomStream& stream, Tensor& y) {
  DDPM_DISPATCH(y.device(), normal(stream, y));
}
void fill_uniform(const RandomStream& stream, double low, double high, Tensor& y) {
  DDPM_DISPATCH(y.device(), uniform(stream, low, high, y));
}
void fill_randint(const RandomStream& stream, int64_t bound, Tensor& y) {
  DDPM_CHECK(0 < bound && bound <= (int64_t{1} << 31), "fill_randint: bound {} is not in 1..2^31",
             bound);
  DDPM_DISPATCH(y.device(), randint(stream, bound, y));
}
void fill_epoch_indices(const RandomStream& stream, int64_t size, Tensor& y) {
  DDPM_CHECK(0 < size && size <= (int64_t{1} << 31),
             "fill_epoch_indices: a data set of {} items is not in 1..2^31", size);
  DDPM_DISPATCH(y.device(), epoch_indices(stream, size, y));
}

namespace cpu {
namespace {

DrawId row_id(const RandomStream& stream, int64_t row) {
  const int64_t* counter = stream.counter.data<int64_t>();
  return {stream.site, static_cast<uint32_t>(counter[0]), static_cast<uint32_t>(counter[1] + row)};
}

// store(index, four words) for every quad of every row; the last quad of a row may be cut.
template <class Store>
void for_each_block(const RandomStream& stream, const Tensor& y, Store store) {
  const int64_t rows = y.shape()[0], row_size = rows ? y.numel() / rows : 0;
  const int64_t blocks = (row_size + kPhiloxBlock - 1) / kPhiloxBlock;
  constexpr int64_t kBlocks = 64;
  parallel_ranges(rows * blocks, kBlocks, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / blocks, first = i % blocks * kPhiloxBlock;
      uint32_t bits[kPhiloxBlock];
      philox_block(stream.seed, row_id(stream, row), static_cast<uint32_t>(first), bits);
      const int64_t count = std::min<int64_t>(kPhiloxBlock, row_size - first);
      store(row * row_size + first, count, bits);
    }
  });
}

}  // namespace

void normal(const RandomStream& stream, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    for_each_block(stream, y, [&](int64_t first, int64_t count, const uint32_t* bits) {
      for (int64_t i = 0; i < count; i += 4) {
        Bits4 quad;
        std::memcpy(quad.v, bits + i, sizeof quad.v);
        const Float4 z = to_normal(quad);
        for (int64_t k = 0; k < std::min<int64_t>(4, count - i); ++k) out[first + i + k] = z.v[k];
      }
    });
  });
}

void uniform(const RandomStream& stream, double low, double high, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    for_each_block(stream, y, [&](int64_t first, int64_t count, const uint32_t* bits) {
      for (int64_t i = 0; i < count; ++i)
        out[first + i] = static_cast<T>(to_interval(bits[i], low, high));
    });
  });
}

void randint(const RandomStream& stream, int64_t bound, Tensor& y) {
  int32_t* out = y.data<int32_t>();
  for (int64_t n = 0; n < y.numel(); ++n)
    out[n] = static_cast<int32_t>(
        to_index(philox(stream.seed, row_id(stream, n), 0).v[0], static_cast<uint32_t>(bound)));
}

void epoch_indices(const RandomStream& stream, int64_t size, Tensor& y) {
  const int64_t step = stream.counter.data<int64_t>()[0];
  int32_t* out = y.data<int32_t>();
  for (int64_t n = 0; n < y.numel(); ++n) {
    const int64_t position = step * y.numel() + n;
    const Permutation epoch(stream.seed, stream.site, static_cast<uint32_t>(position / size),
                            static_cast<uint32_t>(size));
    out[n] = static_cast<int32_t>(epoch(static_cast<uint32_t>(position % size)));
  }
}

}  // namespace cpu
}  // namespace ddpm
