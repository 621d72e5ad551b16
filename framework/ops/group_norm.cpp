#include "framework/ops/group_norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <type_traits>
#include <vector>

#include "framework/autograd/tape.h"
#include "framework/cpu/norm_silu_avx512.h"
#include "framework/cpu/scratch.h"
#include "framework/ops/reduce.h"
#include "framework/ops/scalar_math.h"
#include "framework/random/philox_block.h"

// The arrays of the channel loops never overlap, but they are too many for the compiler to check.
#if defined(__GNUC__) && !defined(__clang__)
#define DDPM_NO_ALIAS _Pragma("GCC ivdep")
#else
#define DDPM_NO_ALIAS
#endif

namespace ddpm {

Tensor group_norm(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                  const GroupNormOptions& options) {
  const Tensor &x = input.x, &skip = input.skip;
  const Shape& s = x.shape();
  DDPM_CHECK(s.rank() == 4, "group_norm: x {} is not (N, H, W, C)", s);
  DDPM_CHECK(!skip || (skip.shape().rank() == 4 && skip.shape().with_inner(s[3]) == s),
             "group_norm: skip {} beside x {}", skip.shape(), s);
  const Shape joined = s.with_inner(input.channels());
  DDPM_CHECK(options.groups > 0 && joined[3] % options.groups == 0,
             "group_norm: the {} channels of x {} are not divisible into {} groups", joined[3],
             joined, options.groups);
  DDPM_CHECK(gamma.shape() == Shape{joined[3]} && beta.shape() == Shape{joined[3]},
             "group_norm: gamma {} and beta {} for x {}", gamma.shape(), beta.shape(), joined);
  DDPM_CHECK(0 <= options.dropout && options.dropout < 1,
             "group_norm: the dropout rate {} is not in [0, 1)", options.dropout);
  const auto per_group = [&] {
    return Tensor::empty({s[0], options.groups}, accumulator_of(x.dtype()), x.device());
  };
  GroupNormStatistics statistics{per_group(), per_group()};
  Tensor y = Tensor::empty(joined, x.dtype(), x.device());
  DDPM_DISPATCH(x.device(), group_norm_forward(input, gamma, beta, options, statistics, y));
  Tape::record("group_norm", {x, skip, gamma, beta}, y, [=](const Tensor& dy) {
    NormInput dinput(Tensor::like(input.x), input.skip ? Tensor::like(input.skip) : Tensor());
    // The way around a residual block comes first in backward, and has left its part.
    const NormInput addend(take_grad(input.x), input.skip ? take_grad(input.skip) : Tensor());
    Tensor dgamma = grad_buffer(gamma), dbeta = grad_buffer(beta);
    DDPM_DISPATCH(dy.device(), group_norm_backward(input, gamma, beta, statistics, options, dy,
                                                   addend, dinput, dgamma, dbeta));
    accumulate_grad(input.x.slot(), dinput.x);
    if (input.skip) accumulate_grad(input.skip.slot(), dinput.skip);
    accumulate_grad(gamma.slot(), dgamma);
    accumulate_grad(beta.slot(), dbeta);
  });
  return y;
}

namespace cpu {
namespace {

// Sums run over blocks of that many positions in the type of the arithmetic, and over blocks in
// double.
constexpr int64_t kBlock = 64;

// One sample and a run of whole groups, which stays in the L2 cache over its passes. How the work
// is cut changes no bit of it.
struct Piece {
  int64_t n, channel, width;
};

// The channels of a piece that lie in one tensor: `width` from `channel` on, of which the first is
// number `offset` of the piece and number `place` of its tensor.
struct Part {
  bool in_skip;
  int64_t channel, width, offset, place;

  const Tensor& of(const NormInput& input) const { return in_skip ? input.skip : input.x; }
};

// Some channels of one sample, position after position.
template <class T>
struct Rows {
  T* first;
  int64_t stride;

  Rows(T* begin, int64_t step) : first(begin), stride(step) {}
  Rows(const Tensor& t, int64_t n, int64_t channel)
      : first(t.data<T>() + n * t.shape()[1] * t.shape()[2] * t.shape()[3] + channel),
        stride(t.shape()[3]) {}
  T* operator[](int64_t position) const { return first + position * stride; }
};

struct Pieces {
  int64_t samples, positions, channels, x_channels, group_size, groups, groups_per_piece;

  Pieces(const NormInput& input, int group_count)
      : samples(input.x.shape()[0]),
        positions(input.x.shape()[1] * input.x.shape()[2]),
        channels(input.channels()),
        x_channels(input.x.shape()[3]),
        group_size(channels / group_count),
        groups(group_count) {
    // Wide rows are read fastest, but few samples must feed all threads, too. Rows are whole
    // vectors if a few groups make them.
    constexpr int64_t kVector = 16;
    const int64_t most = std::max<int64_t>(1, (samples < 8 ? 64 : 128) / group_size);
    const int64_t step = kVector / std::gcd(kVector, group_size);
    groups_per_piece = std::min(groups, most < step ? most : most / step * step);
  }

  // body(piece, scratch): `elements` A of scratch for every channel
  template <class A, class Body>
  void run(int64_t elements, Body body) const {
    const int64_t per_sample = (groups + groups_per_piece - 1) / groups_per_piece;
    const int64_t scratch_size = elements * groups_per_piece * group_size;
    parallel_for_scratch<A>(samples * per_sample, scratch_size, [&](int64_t i, A* scratch) {
      const int64_t group = i % per_sample * groups_per_piece;
      const int64_t count = std::min(groups_per_piece, groups - group);
      body(Piece{i / per_sample, group * group_size, count * group_size}, scratch);
    });
  }

  template <class Body>
  void for_each_part(const Piece& piece, Body body) const {
    const int64_t in_x = std::clamp<int64_t>(x_channels - piece.channel, 0, piece.width);
    const int64_t seam = piece.channel + in_x;
    if (in_x > 0) body(Part{false, piece.channel, in_x, 0, piece.channel});
    if (in_x < piece.width) body(Part{true, seam, piece.width - in_x, in_x, seam - x_channels});
  }
};

// Which elements of a sample are kept: as many draws as one row of a piece has columns.
class DropoutMask {
 public:
  DropoutMask(const GroupNormOptions& options, const Piece& piece)
      : seed_(options.stream.seed),
        bits_((piece.width + 3 + kPhiloxBlock - 1) / kPhiloxBlock * kPhiloxBlock) {
    const int64_t* counter = options.stream.counter.data<int64_t>();
    id_ = {options.stream.site, static_cast<uint32_t>(counter[0]),
           static_cast<uint32_t>(counter[1] + piece.n)};
  }

  // The draws of elements element .. element + width - 1 of the sample.
  const uint32_t* draw(int64_t element, int64_t width) {
    const int64_t skip = element % 4;
    for (int64_t i = 0; i < skip + width; i += kPhiloxBlock)
      philox_block(seed_, id_, static_cast<uint32_t>(element - skip + i), &bits_[i]);
    return &bits_[skip];
  }

 private:
  uint64_t seed_;
  DrawId id_{};
  std::vector<uint32_t> bits_;
};

// Not `kept ? keep * u : 0`: a product that might trap is not computed for nothing, and the loop
// would not be vectorised.
template <class A>
A keep_if(bool kept, A value) {
  return kept ? value : A(0);
}

// Count, mean and sum of squared deviations per channel. Each block of positions is summed as
// x - shift, where the shift is its first row: however far the values lie from zero, the sum of
// squares is at most kBlock + 1 times the block's deviations. Blocks are merged in double
// (Chan, Golub & LeVeque 1979).
template <class T>
void channel_moments(const Rows<T>& x, int64_t width, int64_t positions, double* mean, double* m2) {
  using A = Accumulator<T>;
  std::vector<A> buffer(3 * width);
  A *shift = buffer.data(), *sum = shift + width, *squares = sum + width;
  for (int64_t begin = 0; begin < positions; begin += kBlock) {
    const int64_t end = std::min(positions, begin + kBlock);
    const T* first = x[begin];
    for (int64_t c = 0; c < width; ++c) shift[c] = first[c];
    std::fill_n(sum, 2 * width, A(0));
    const auto add_rows = [&](int64_t p, auto rows) {
      const T* __restrict in = x[p];
      const int64_t stride = x.stride;
      DDPM_NO_ALIAS
      for (int64_t c = 0; c < width; ++c) {
        A total = sum[c], total_squares = squares[c];
        for (int i = 0; i < rows(); ++i) {
          const A d = static_cast<A>(in[i * stride + c]) - shift[c];
          total += d;
          total_squares += d * d;
        }
        sum[c] = total;
        squares[c] = total_squares;
      }
    };
    constexpr int kRows = 8;  // at a time: fewer passes over the sums
    int64_t p = begin;
    for (; p + kRows <= end; p += kRows) add_rows(p, std::integral_constant<int, kRows>{});
    for (; p < end; ++p) add_rows(p, std::integral_constant<int, 1>{});

    const double count = static_cast<double>(end - begin);
    const double share = count / static_cast<double>(end), before = static_cast<double>(begin);
    DDPM_NO_ALIAS
    for (int64_t c = 0; c < width; ++c) {
      const double offset = static_cast<double>(sum[c]) / count;
      const double delta = static_cast<double>(shift[c]) + offset - mean[c];
      mean[c] += delta * share;
      m2[c] += static_cast<double>(squares[c]) - static_cast<double>(sum[c]) * offset +
               delta * delta * before * share;
    }
  }
}

// What a pass needs per channel of a piece: u = (x - mean) * scale + beta, scale = gamma * rstd.
template <class A>
struct Norm {
  std::vector<A> mean, scale, beta;

  Norm(const Tensor& gamma, const Tensor& shift, const GroupNormStatistics& statistics,
       const Piece& piece)
      : mean(piece.width), scale(piece.width), beta(piece.width) {
    const int64_t groups = statistics.mean.shape()[1], group_size = gamma.numel() / groups;
    const int64_t first_group = piece.n * groups + piece.channel / group_size;
    const A* means = statistics.mean.data<A>() + first_group;
    const A* rstds = statistics.rstd.data<A>() + first_group;
    const A* gains = gamma.data<A>() + piece.channel;
    for (int64_t c = 0, group = 0; c < piece.width; c += group_size, ++group) {
      std::fill_n(&mean[c], group_size, means[group]);
      for (int64_t i = c; i < c + group_size; ++i) scale[i] = gains[i] * rstds[group];
    }
    std::copy_n(shift.data<A>() + piece.channel, piece.width, beta.data());
  }
};

// body(std::bool_constant<silu>, std::bool_constant<dropout>): the inner loops have no branch.
template <class Body>
void with_options(const GroupNormOptions& options, Body body) {
  const auto with_silu = [&](auto silu) {
    if (options.dropout > 0) return body(silu, std::true_type{});
    body(silu, std::false_type{});
  };
  if (options.silu) return with_silu(std::true_type{});
  with_silu(std::false_type{});
}

// mean and rstd of the groups of a piece
template <class T>
void piece_statistics(const Pieces& pieces, const NormInput& input, const Piece& piece,
                      double epsilon, GroupNormStatistics& statistics) {
  using A = Accumulator<T>;
  std::vector<double> moments(2 * piece.width);
  double *channel_mean = moments.data(), *channel_m2 = channel_mean + piece.width;
  pieces.for_each_part(piece, [&](const Part& part) {
    channel_moments(Rows<T>(part.of(input), piece.n, part.place), part.width, pieces.positions,
                    channel_mean + part.offset, channel_m2 + part.offset);
  });
  const int64_t size = pieces.group_size;
  const double positions = static_cast<double>(pieces.positions);
  for (int64_t c = 0; c < piece.width; c += size) {
    const double *means = channel_mean + c, *deviations = channel_m2 + c;
    const double mean = std::accumulate(means, means + size, 0.0) / static_cast<double>(size);
    double m2 = 0;
    for (int64_t i = 0; i < size; ++i)
      m2 += deviations[i] + positions * (means[i] - mean) * (means[i] - mean);
    const int64_t group = piece.n * pieces.groups + (piece.channel + c) / size;
    const double variance = m2 / (positions * static_cast<double>(size));
    statistics.mean.data<A>()[group] = static_cast<A>(mean);
    statistics.rstd.data<A>()[group] = static_cast<A>(1 / std::sqrt(variance + epsilon));
  }
}

template <class T, bool kSilu, bool kDropout>
void forward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
             const GroupNormOptions& options, GroupNormStatistics& statistics, Tensor& y) {
  using A = Accumulator<T>;
  const A keep = static_cast<A>(1 / (1 - options.dropout));
  const uint32_t threshold = dropout_threshold(options.dropout);
  const Pieces pieces(input, options.groups);
  pieces.run<A>(0, [&](const Piece& piece, A*) {
    piece_statistics<T>(pieces, input, piece, options.epsilon, statistics);
    const Norm<A> norm(gamma, beta, statistics, piece);
    std::optional<DropoutMask> mask;
    if constexpr (kDropout) mask.emplace(options, piece);
    pieces.for_each_part(piece, [&](const Part& part) {
      const A *mean = &norm.mean[part.offset], *scale = &norm.scale[part.offset];
      const A* shift = &norm.beta[part.offset];
      const Rows<T> in(part.of(input), piece.n, part.place), out(y, piece.n, part.channel);
      for (int64_t p = 0; p < pieces.positions; ++p) {
        const T* __restrict from = in[p];
        T* __restrict to = out[p];
#if defined(__x86_64__)
        if constexpr (std::is_same_v<T, bf16> && kSilu && !kDropout)
          if (has_avx512_bf16()) {
            norm_silu_row(from, mean, scale, shift, part.width, to);
            continue;
          }
#endif
        [[maybe_unused]] const uint32_t* bits = nullptr;
        if constexpr (kDropout) bits = mask->draw(p * pieces.channels + part.channel, part.width);
        DDPM_NO_ALIAS
        for (int64_t c = 0; c < part.width; ++c) {
          A u = (static_cast<A>(from[c]) - mean[c]) * scale[c] + shift[c];
          if constexpr (kSilu) u = math::Silu{}(u);
          if constexpr (kDropout) u = keep_if(bits[c] >= threshold, keep * u);
          to[c] = static_cast<T>(u);
        }
      }
    });
  });
}

// dx = rstd (gamma du - mean_g(gamma du) - xhat mean_g(gamma du xhat)), where du is the gradient by
// u; the sums over positions of du and du xhat go to dbeta and dgamma (N, C). Between its sums and
// dx, du is kept, in dx where that is wide enough: silu and the mask would take longer once more.
template <class T, bool kSilu, bool kDropout>
void backward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
              const GroupNormStatistics& statistics, const GroupNormOptions& options,
              const Tensor& dy, const NormInput& addend, NormInput& dinput, Tensor& dgamma,
              Tensor& dbeta) {
  using A = Accumulator<T>;
  constexpr bool kInPlace = std::is_same_v<T, A>;
  const A keep = static_cast<A>(1 / (1 - options.dropout));
  const uint32_t threshold = dropout_threshold(options.dropout);
  const Pieces pieces(input, options.groups);
  const int64_t positions = pieces.positions, size = pieces.group_size;
  pieces.run<A>(kInPlace ? 0 : positions, [&](const Piece& piece, A* scratch) {
    const auto du_rows = [&](const Part& part) -> Rows<A> {
      if constexpr (kInPlace)
        return {part.of(dinput), piece.n, part.place};
      else
        return {scratch + part.offset, piece.width};
    };
    const Norm<A> norm(gamma, beta, statistics, piece);
    std::optional<DropoutMask> mask;
    if constexpr (kDropout) mask.emplace(options, piece);
    std::vector<A> sums(2 * piece.width);
    std::vector<double> totals(2 * piece.width);
    double *total_du = totals.data(), *total_du_d = total_du + piece.width;  // d = x - mean
    pieces.for_each_part(piece, [&](const Part& part) {
      const A *mean = &norm.mean[part.offset], *scale = &norm.scale[part.offset];
      const A* shift = &norm.beta[part.offset];
      A *sum_du = sums.data(), *sum_du_d = sum_du + part.width;
      const Rows<T> in(part.of(input), piece.n, part.place), dout(dy, piece.n, part.channel);
      const Rows<A> du_out = du_rows(part);
      for (int64_t begin = 0; begin < positions; begin += kBlock) {
        std::fill(sums.begin(), sums.end(), A(0));
        for (int64_t p = begin; p < std::min(positions, begin + kBlock); ++p) {
          const T* __restrict from = in[p], * __restrict grad = dout[p];
          A* __restrict to = du_out[p];
          [[maybe_unused]] const uint32_t* bits = nullptr;
          if constexpr (kDropout) bits = mask->draw(p * pieces.channels + part.channel, part.width);
          DDPM_NO_ALIAS
          for (int64_t c = 0; c < part.width; ++c) {
            const A d = static_cast<A>(from[c]) - mean[c];
            A du = static_cast<A>(grad[c]);
            if constexpr (kDropout) du = keep_if(bits[c] >= threshold, keep * du);
            if constexpr (kSilu) du = math::SiluGrad{}(d * scale[c] + shift[c], du);
            to[c] = du;
            sum_du[c] += du;
            sum_du_d[c] += du * d;
          }
        }
        for (int64_t c = 0; c < part.width; ++c) {
          total_du[part.offset + c] += static_cast<double>(sum_du[c]);
          total_du_d[part.offset + c] += static_cast<double>(sum_du_d[c]);
        }
      }
    });

    A *constant = sums.data(),
      *slope = constant + piece.width;  // dx = scale du + slope d + constant
    for (int64_t first = 0; first < piece.width; first += size) {
      const int64_t group = piece.n * pieces.groups + (piece.channel + first) / size;
      const double rstd = static_cast<double>(statistics.rstd.data<A>()[group]);
      double group_du = 0, group_du_d = 0;
      for (int64_t c = first; c < first + size; ++c) {
        const int64_t channel = piece.channel + c, out = piece.n * pieces.channels + channel;
        const double gain = static_cast<double>(gamma.data<A>()[channel]);
        group_du += gain * total_du[c];
        group_du_d += gain * total_du_d[c];
        dbeta.data<A>()[out] = static_cast<A>(total_du[c]);
        dgamma.data<A>()[out] = static_cast<A>(rstd * total_du_d[c]);
      }
      const double factor = -rstd / static_cast<double>(positions * size);
      std::fill_n(constant + first, size, static_cast<A>(factor * group_du));
      std::fill_n(slope + first, size, static_cast<A>(factor * rstd * rstd * group_du_d));
    }
    pieces.for_each_part(piece, [&](const Part& part) {
      const A *mean = &norm.mean[part.offset], *scale = &norm.scale[part.offset];
      const A *add = constant + part.offset, *factor = slope + part.offset;
      const Rows<T> in(part.of(input), piece.n, part.place);
      const Rows<T> out(part.of(dinput), piece.n, part.place);
      const Rows<A> du_in = du_rows(part);
      const auto write = [&](auto addition_at) {
        for (int64_t p = 0; p < positions; ++p) {
          const T* __restrict from = in[p];
          const A* du = du_in[p];
          const auto plus = addition_at(p);
          T* to = out[p];
          DDPM_NO_ALIAS
          for (int64_t c = 0; c < part.width; ++c) {
            const A d = static_cast<A>(from[c]) - mean[c];
            to[c] = static_cast<T>(plus(c, scale[c] * du[c] + (factor[c] * d + add[c])));
          }
        }
      };
      if (const Tensor& other = part.of(addend)) {
        const Rows<T> rows(other, piece.n, part.place);
        write([&](int64_t p) {
          return [from = rows[p]](int64_t c, A value) { return value + static_cast<A>(from[c]); };
        });
      } else {
        write([](int64_t) { return [](int64_t, A value) { return value; }; });
      }
    });
  });
}

}  // namespace

void group_norm_forward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                        const GroupNormOptions& options, GroupNormStatistics& statistics,
                        Tensor& y) {
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    with_options(options, [&](auto silu, auto dropout) {
      forward<T, silu(), dropout()>(input, gamma, beta, options, statistics, y);
    });
  });
}

void group_norm_backward(const NormInput& input, const Tensor& gamma, const Tensor& beta,
                         const GroupNormStatistics& statistics, const GroupNormOptions& options,
                         const Tensor& dy, const NormInput& addend, NormInput& dinput,
                         Tensor& dgamma, Tensor& dbeta) {
  // Per sample, summed over the samples in order at the end.
  const Shape parts{dy.shape()[0], dy.shape()[3]};
  Tensor dgamma_parts = Tensor::empty(parts, dgamma.dtype(), dy.device());
  Tensor dbeta_parts = Tensor::empty(parts, dbeta.dtype(), dy.device());
  DDPM_NETWORK_FLOATS(dy.dtype(), T, {
    with_options(options, [&](auto silu, auto dropout) {
      backward<T, silu(), dropout()>(input, gamma, beta, statistics, options, dy, addend, dinput,
                                     dgamma_parts, dbeta_parts);
    });
  });
  column_sum(dgamma_parts, parts[1], dgamma);
  column_sum(dbeta_parts, parts[1], dbeta);
}

}  // namespace cpu
}  // namespace ddpm
