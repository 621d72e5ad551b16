// The arithmetic of conv2d_winograd_avx512.cpp and conv2d_winograd_avx2.cpp, which include it under
// their own `#pragma GCC target` after every other header (as conv2d_direct_kernels.h): the four
// transforms and the two register tiles. Formulas and matrices are in conv2d_winograd.h.

namespace ddpm::cpu {
namespace {

constexpr int kOutputs = 4, kTaps = 3, kWindow = 6;  // along one axis of a tile
constexpr int kPoints = kWindow * kWindow;
constexpr int kRows = 6;  // of a register tile; 6 x 4 AVX-512 or 6 x 2 AVX2 accumulators
constexpr float kRoot = 1.41421356237309504880f, kHalfRoot = kRoot / 2;

// Each transform of a line reads kFrom vectors and writes kTo. The points +-sqrt(1/2) and +-sqrt(2)
// come in pairs that share their even and odd parts.

struct InputLine {  // B^T d
  static constexpr int kFrom = kWindow, kTo = kWindow;
  template <class Isa, class Vector = typename Isa::Vector>
  [[gnu::always_inline]] static void apply(const Vector* d, Vector* to) {
    to[0] = Isa::add(Isa::multiply_add(-2.5f, d[2], d[0]), d[4]);
    const Vector even1 = Isa::multiply_add(-2, d[2], d[4]);
    const Vector odd1 = Isa::multiply_add(-2, d[1], d[3]);
    to[1] = Isa::multiply_add(kHalfRoot, odd1, even1);
    to[2] = Isa::multiply_add(-kHalfRoot, odd1, even1);
    const Vector even2 = Isa::multiply_add(-0.5f, d[2], d[4]);
    const Vector odd2 = Isa::multiply_add(-0.5f, d[1], d[3]);
    to[3] = Isa::multiply_add(kRoot, odd2, even2);
    to[4] = Isa::multiply_add(-kRoot, odd2, even2);
    to[5] = Isa::add(Isa::multiply_add(-2.5f, d[3], d[1]), d[5]);
  }
};

struct OutputLine {  // A^T m
  static constexpr int kFrom = kWindow, kTo = kOutputs;
  template <class Isa, class Vector = typename Isa::Vector>
  [[gnu::always_inline]] static void apply(const Vector* m, Vector* to) {
    const Vector even1 = Isa::add(m[1], m[2]), odd1 = Isa::subtract(m[1], m[2]);
    const Vector even2 = Isa::add(m[3], m[4]), odd2 = Isa::subtract(m[3], m[4]);
    to[0] = Isa::add(m[0], Isa::add(even1, even2));
    to[1] = Isa::multiply(kHalfRoot, Isa::multiply_add(2, odd2, odd1));
    to[2] = Isa::multiply_add(2, even2, Isa::multiply(0.5f, even1));
    to[3] = Isa::multiply_add(kHalfRoot / 2, Isa::multiply_add(8, odd2, odd1), m[5]);
  }
};

struct OutputGradientLine {  // A dy
  static constexpr int kFrom = kOutputs, kTo = kWindow;
  template <class Isa, class Vector = typename Isa::Vector>
  [[gnu::always_inline]] static void apply(const Vector* dy, Vector* to) {
    const Vector even1 = Isa::multiply_add(0.5f, dy[2], dy[0]);
    const Vector odd1 = Isa::multiply_add(0.5f, dy[3], dy[1]);
    const Vector even2 = Isa::multiply_add(2, dy[2], dy[0]);
    const Vector odd2 = Isa::multiply_add(2, dy[3], dy[1]);
    to[0] = dy[0];
    to[1] = Isa::multiply_add(kHalfRoot, odd1, even1);
    to[2] = Isa::multiply_add(-kHalfRoot, odd1, even1);
    to[3] = Isa::multiply_add(kRoot, odd2, even2);
    to[4] = Isa::multiply_add(-kRoot, odd2, even2);
    to[5] = dy[3];
  }
};

struct WeightLine {  // G g
  static constexpr int kFrom = kTaps, kTo = kWindow;
  template <class Isa, class Vector = typename Isa::Vector>
  [[gnu::always_inline]] static void apply(const Vector* g, Vector* to) {
    const Vector even1 = Isa::multiply(-1.0f / 3, Isa::multiply_add(2, g[0], g[2]));
    const Vector even2 = Isa::multiply(1.0f / 6, Isa::multiply_add(2, g[2], g[0]));
    to[0] = g[0];
    to[1] = Isa::multiply_add(-kRoot / 3, g[1], even1);
    to[2] = Isa::multiply_add(kRoot / 3, g[1], even1);
    to[3] = Isa::multiply_add(kRoot / 6, g[1], even2);
    to[4] = Isa::multiply_add(-kRoot / 6, g[1], even2);
    to[5] = g[2];
  }
};

struct WeightGradientLine {  // G^T du
  static constexpr int kFrom = kWindow, kTo = kTaps;
  template <class Isa, class Vector = typename Isa::Vector>
  [[gnu::always_inline]] static void apply(const Vector* du, Vector* to) {
    const Vector even1 = Isa::add(du[1], du[2]), odd1 = Isa::subtract(du[2], du[1]);
    const Vector even2 = Isa::add(du[3], du[4]), odd2 = Isa::subtract(du[3], du[4]);
    to[0] = Isa::multiply_add(1.0f / 6, even2, Isa::multiply_add(-2.0f / 3, even1, du[0]));
    to[1] = Isa::multiply(kRoot / 6, Isa::multiply_add(2, odd1, odd2));
    to[2] = Isa::multiply_add(1.0f / 3, Isa::subtract(even2, even1), du[5]);
  }
};

// store(index, vector) for the kTo x kTo results of the kFrom x kFrom vectors load(index).
template <class Isa, class Line, class Load, class Store>
[[gnu::always_inline]] inline void transform(const Load& load, const Store& store) {
  using Vector = typename Isa::Vector;
  constexpr int kFrom = Line::kFrom, kTo = Line::kTo;
  Vector half[kTo][kFrom];
#pragma GCC unroll 6
  for (int j = 0; j < kFrom; ++j) {
    Vector from[kFrom], to[kTo];
#pragma GCC unroll 6
    for (int i = 0; i < kFrom; ++i) from[i] = load(i * kFrom + j);
    Line::template apply<Isa>(from, to);
#pragma GCC unroll 6
    for (int i = 0; i < kTo; ++i) half[i][j] = to[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kTo; ++i) {
    Vector to[kTo];
    Line::template apply<Isa>(half[i], to);
#pragma GCC unroll 6
    for (int j = 0; j < kTo; ++j) store(i * kTo + j, to[j]);
  }
}

// The pixels of a window into `channels` channels, to + point * stride + channel; padded channels
// become zero.
template <class Isa, class Line>
void transform_pixels(const float* const* pixels, int64_t channels, float* to, int64_t stride) {
  for (int64_t c = 0; c < channels; c += Isa::kLanes) {
    const int64_t lanes = channels - c;
    const auto store = [&](int point, typename Isa::Vector v) {
      Isa::store(to + point * stride + c, v);
    };
    if (lanes >= Isa::kLanes)
      transform<Isa, Line>([&](int i) { return Isa::load(pixels[i] + c); }, store);
    else
      transform<Isa, Line>([&](int i) { return Isa::load(pixels[i] + c, lanes); }, store);
  }
}

// out[i] = sum over channels of in[i, channel] * weights[channel], for R tiles and V vectors of
// output channels. Fetches the R tiles behind these, and ahead_step floats from `ahead` on for
// every channel.
template <class Isa, int R, int V>
void multiply_tile(const float* in, int64_t in_stride, int64_t channels, const float* weights,
                   const float* ahead, int64_t ahead_step, float* out, int64_t out_stride) {
  typename Isa::Vector sum[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[i][v] = Isa::zero();
  for (int64_t c = 0; c < channels; ++c, weights += V * Isa::kLanes, ahead += ahead_step) {
    typename Isa::Vector b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      b[v] = Isa::load(weights + v * Isa::kLanes);
    }
    __builtin_prefetch(in + R * (in_stride + c), 0, 3);
    __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const typename Isa::Vector a = Isa::broadcast(in + i * in_stride + c);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = Isa::multiply_add(a, b[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) Isa::store(out + i * out_stride + v * Isa::kLanes, sum[i][v]);
}

// sum[i] (+)= sum over tiles of dy[tile, i] * x[tile], for R output channels and V vectors of input
// channels.
template <class Isa, int R, int V>
void accumulate_tile(const float* dy, int64_t dy_stride, const float* x, int64_t x_stride,
                     int64_t tiles, bool is_first, float* sums, int64_t sum_stride) {
  typename Isa::Vector sum[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sum[i][v] = is_first ? Isa::zero() : Isa::load(sums + i * sum_stride + v * Isa::kLanes);
  for (int64_t t = 0; t < tiles; ++t, dy += dy_stride, x += x_stride) {
    typename Isa::Vector b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) b[v] = Isa::load(x + v * Isa::kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const typename Isa::Vector a = Isa::broadcast(dy + i);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = Isa::multiply_add(a, b[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) Isa::store(sums + i * sum_stride + v * Isa::kLanes, sum[i][v]);
}

// body(std::integral_constant<int, n>) for n in 1 .. Most.
template <int Most, class Body>
void with_constant(int64_t n, const Body& body) {
  if constexpr (Most > 1)
    if (n < Most) return with_constant<Most - 1>(n, body);
  body(std::integral_constant<int, Most>());
}

}  // namespace
}  // namespace ddpm::cpu
