// Products of matrices on the matrix unit, for work that one thread does alone. Included like
// amx_tiles.h, after it.
//
//   pack_left...(a), pack_right...(b): operands in the order in which product() reads them
//   product(...): c (rows, columns) (+)= a (rows, depth) b (depth, columns), c in f32
//
// Extents are padded with zeros to multiples of 32: packed_size() elements hold an operand.

namespace ddpm::cpu {
namespace {

constexpr int64_t kPanelSize = 2 * kTile;  // of 32 rows or columns by 32 of the depth

constexpr int64_t panels_of(int64_t extent) { return (extent + 31) / 32; }

template <class Values>
int64_t packed_size(int64_t rows_or_columns, int64_t depth) {
  return panels_of(rows_or_columns) * panels_of(depth) * Values::kParts * kPanelSize;
}

// body(first row or column, first of the depth, panel): its parts lie behind one another.
template <class Values, class Body>
void for_each_panel(int64_t extent, int64_t depth, bf16* packed, Body body) {
  for (int64_t i = 0; i < extent; i += 32)
    for (int64_t k = 0; k < depth; k += 32, packed += Values::kParts * kPanelSize)
      body(i, k, packed);
}

// Columns column .. column + 31 of a row, zeros where the matrix ends.
template <class Values>
Values load_row(const typename Values::T* x, int64_t stride, int64_t rows, int64_t columns,
                int64_t row, int64_t column) {
  return row < rows ? Values::load(x + row * stride + column, columns - column) : Values::zero();
}

// a (rows, depth)
template <class Values>
void pack_left(const typename Values::T* a, int64_t stride, int64_t rows, int64_t depth,
               bf16* packed) {
  for_each_panel<Values>(rows, depth, packed, [&](int64_t m, int64_t k, bf16* panel) {
    for (int64_t i = 0; i < 32; ++i) {
      const Values row = load_row<Values>(a, stride, rows, depth, m + i, k);
      for (int part = 0; part < Values::kParts; ++part)
        _mm512_store_si512(panel + part * kPanelSize + i * 32, row.part(part));
    }
  });
}

// a (depth, rows), which is transposed
template <class Values>
void pack_left_transposed(const typename Values::T* a, int64_t stride, int64_t rows, int64_t depth,
                          bf16* packed) {
  for_each_panel<Values>(rows, depth, packed, [&](int64_t m, int64_t k, bf16* panel) {
    for (int part = 0; part < Values::kParts; ++part) {
      __m512i low[16], high[16];
      for (int64_t i = 0; i < 16; ++i) {
        const auto load = [&](int64_t row) {
          return load_row<Values>(a, stride, depth, rows, row, m).part(part);
        };
        const __m512i even = load(k + 2 * i), odd = load(k + 2 * i + 1);
        low[i] = pair_up<0>(even, odd);
        high[i] = pair_up<1>(even, odd);
      }
      transpose_words(low);
      transpose_words(high);
      bf16* const to = panel + part * kPanelSize;
      for (int64_t i = 0; i < 16; ++i) {
        _mm512_store_si512(to + i * 32, low[i]);
        _mm512_store_si512(to + kTile + i * 32, high[i]);
      }
    }
  });
}

// b (depth, columns)
template <class Values>
void pack_right(const typename Values::T* b, int64_t stride, int64_t columns, int64_t depth,
                bf16* packed) {
  for_each_panel<Values>(columns, depth, packed, [&](int64_t n, int64_t k, bf16* panel) {
    for (int64_t i = 0; i < 16; ++i) {
      const Values even = load_row<Values>(b, stride, depth, columns, k + 2 * i, n);
      const Values odd = load_row<Values>(b, stride, depth, columns, k + 2 * i + 1, n);
      for (int part = 0; part < Values::kParts; ++part) {
        bf16* const to = panel + part * kPanelSize + i * 32;
        _mm512_store_si512(to, pair_up<0>(even.part(part), odd.part(part)));
        _mm512_store_si512(to + kTile, pair_up<1>(even.part(part), odd.part(part)));
      }
    }
  });
}

// b (columns, depth), which is transposed
template <class Values>
void pack_right_transposed(const typename Values::T* b, int64_t stride, int64_t columns,
                           int64_t depth, bf16* packed) {
  for_each_panel<Values>(columns, depth, packed, [&](int64_t n, int64_t k, bf16* panel) {
    for (int part = 0; part < Values::kParts; ++part)
      for (int64_t half = 0; half < 2; ++half) {
        __m512i rows[16];
        for (int64_t i = 0; i < 16; ++i)
          rows[i] = load_row<Values>(b, stride, columns, depth, n + 16 * half + i, k).part(part);
        transpose_words(rows);
        for (int64_t i = 0; i < 16; ++i)
          _mm512_store_si512(panel + part * kPanelSize + half * kTile + i * 32, rows[i]);
      }
  });
}

// Needs a TileScope.
template <int kParts>
void product(const bf16* left, const bf16* right, int64_t rows, int64_t columns, int64_t depth,
             bool accumulate, float* c, int64_t stride) {
  const int64_t steps = panels_of(depth), size = steps * kParts * kPanelSize;
  alignas(64) float sums[32 * 32];
  for (int64_t m = 0; m < rows; m += 32)
    for (int64_t n = 0; n < columns; n += 32) {
      zero_sums();
      const bf16 *a = left + m / 32 * size, *b = right + n / 32 * size;
      for (int64_t i = 0; i < steps; ++i, a += kParts * kPanelSize, b += kParts * kPanelSize) {
        multiply_step<kParts>(a, a + kTile, kPanelSize, b, b + kTile, kPanelSize);
      }
      keep_vector_unit_awake();
      store_sums(sums, 512, 16, 128);
      for (int64_t j = n; j < std::min(columns, n + 32); j += 16) {
        const auto lanes = static_cast<__mmask16>(first_lanes(columns - j));
        for (int64_t i = m; i < std::min(rows, m + 32); ++i) {
          float* const to = c + i * stride + j;
          __m512 sum = _mm512_load_ps(sums + (i - m) * 32 + j - n);
          if (accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, to));
          _mm512_mask_storeu_ps(to, lanes, sum);
        }
      }
    }
}

}  // namespace
}  // namespace ddpm::cpu
