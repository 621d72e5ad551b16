#include "framework/ops/group_norm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <vector>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
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

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const GroupNormOptions& options) {
  const Shape& s = x.shape();
  DDPM_CHECK(s.rank() == 4, "group_norm: x {} is not (N, H, W, C)", s);
  DDPM_CHECK(options.groups > 0 && s[3] % options.groups == 0,
             "group_norm: the {} channels of x {} are not divisible into {} groups", s[3], s,
             options.groups);
  DDPM_CHECK(gamma.shape() == Shape{s[3]} && beta.shape() == Shape{s[3]},
             "group_norm: gamma {} and beta {} for x {}", gamma.shape(), beta.shape(), s);
  DDPM_CHECK(0 <= options.dropout && options.dropout < 1,
             "group_norm: the dropout rate {} is not in [0, 1)", options.dropout);
  const Shape per_group{s[0], options.groups};
  GroupNormStatistics statistics{Tensor::empty(per_group, x.dtype(), x.device()),
                                 Tensor::empty(per_group, x.dtype(), x.device())};
  Tensor y = Tensor::like(x);
  DDPM_DISPATCH(x.device(), group_norm_forward(x, gamma, beta, options, statistics, y));
  Tape::record("group_norm", {x, gamma, beta}, y, [=](const Tensor& dy) {
    Tensor dx = Tensor::like(x);
    Tensor dgamma = grad_buffer(gamma), dbeta = grad_buffer(beta);
    DDPM_DISPATCH(x.device(),
                  group_norm_backward(x, gamma, beta, statistics, options, dy, dx, dgamma, dbeta));
    accumulate_grad(x.slot(), dx);
    accumulate_grad(gamma.slot(), dgamma);
    accumulate_grad(beta.slot(), dbeta);
  });
  return y;
}

namespace cpu {
namespace {

// A piece of work is one sample and a run of whole groups, `kChannels` channels at most unless one
// group is wider: it stays in the L2 cache over its passes, and batch 1 still feeds all threads.
constexpr int64_t kChannels = 64;

struct Pieces {
  int64_t positions, channels, group_size, groups, groups_per_piece, per_sample;

  Pieces(const Tensor& x, int group_count)
      : positions(x.shape()[1] * x.shape()[2]),
        channels(x.shape()[3]),
        group_size(channels / group_count),
        groups(group_count),
        groups_per_piece(std::clamp<int64_t>(kChannels / group_size, 1, group_count)),
        per_sample((groups + groups_per_piece - 1) / groups_per_piece) {}

  // body(n, first channel, channel count)
  template <class Body>
  void run(int64_t samples, Body body) const {
    parallel_for(samples * per_sample, [&](int64_t piece) {
      const int64_t first = piece % per_sample * groups_per_piece;
      const int64_t count = std::min(groups_per_piece, groups - first);
      body(piece / per_sample, first * group_size, count * group_size);
    });
  }
};

// Multipliers (0 or 1 / (1 - rate)) for channels [c0, c0 + width) of one position after another.
// The stream is addressed by position * channels + channel, so blocks are cut where a position
// ends.
class DropoutMask {
 public:
  DropoutMask(const GroupNormOptions& options, int64_t n)
      : seed_(options.stream.seed), threshold_(dropout_threshold(options.dropout)) {
    const int64_t* counter = options.stream.counter.data<int64_t>();
    id_ = {options.stream.site, static_cast<uint32_t>(counter[0]),
           static_cast<uint32_t>(counter[1] + n)};
  }

  template <class T>
  void fill(int64_t element, int64_t width, T keep, T* mask) const {
    uint32_t bits[kPhiloxBlock];
    int64_t done = 0;
    while (done < width) {
      const int64_t at = element + done, aligned = at / 4 * 4, skip = at - aligned;
      const int64_t count = std::min(width - done, kPhiloxBlock - skip);
      philox_block(seed_, id_, static_cast<uint32_t>(aligned), bits);
      for (int64_t i = 0; i < count; ++i)
        mask[done + i] = bits[skip + i] >= threshold_ ? keep : T(0);
      done += count;
    }
  }

 private:
  uint64_t seed_;
  uint32_t threshold_;
  DrawId id_{};
};

// Calls body(std::bool_constant<silu>, std::bool_constant<dropout>): the inner loops have no
// branch.
template <class Body>
void with_options(const GroupNormOptions& options, Body body) {
  const bool dropout = options.dropout > 0;
  if (options.silu && dropout) return body(std::true_type{}, std::true_type{});
  if (options.silu) return body(std::true_type{}, std::false_type{});
  if (dropout) return body(std::false_type{}, std::true_type{});
  body(std::false_type{}, std::false_type{});
}

}  // namespace

void group_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const GroupNormOptions& options, GroupNormStatistics& statistics,
                        Tensor& y) {
  const Pieces pieces(x, options.groups);
  const int64_t positions = pieces.positions, channels = pieces.channels;
  const int64_t group_size = pieces.group_size;
  const auto body = [&]<class T>(T, auto silu, auto dropout) {
    const T keep = static_cast<T>(1 / (1 - options.dropout));
    pieces.run(x.shape()[0], [&](int64_t n, int64_t c0, int64_t width) {
      const T* __restrict in = x.data<T>() + n * positions * channels + c0;
      T* __restrict out = y.data<T>() + n * positions * channels + c0;
      const int64_t g0 = n * pieces.groups + c0 / group_size;
      std::vector<T> sums(4 * width);
      T *sum = sums.data(), *shift = sum + width, *scale = shift + width, *mask = scale + width;
      // Two passes, mean first: E[x^2] - E[x]^2 would cancel.
      const double count = static_cast<double>(positions * group_size);
      const auto group_total = [&](int64_t c) {
        double total = 0;
        for (int64_t i = c; i < c + group_size; ++i) total += static_cast<double>(sum[i]);
        return total;
      };
      for (int64_t p = 0; p < positions; ++p) DDPM_NO_ALIAS
      for (int64_t c = 0; c < width; ++c) sum[c] += in[p * channels + c];
      for (int64_t c = 0; c < width; c += group_size) {
        const T mean = static_cast<T>(group_total(c) / count);
        statistics.mean.data<T>()[g0 + c / group_size] = mean;
        std::fill_n(shift + c, group_size, mean);
      }
      std::fill_n(sum, width, T(0));
      for (int64_t p = 0; p < positions; ++p) DDPM_NO_ALIAS
      for (int64_t c = 0; c < width; ++c) {
        const T centred = in[p * channels + c] - shift[c];
        sum[c] += centred * centred;
      }
      for (int64_t c = 0; c < width; c += group_size) {
        const T rstd = static_cast<T>(1 / std::sqrt(group_total(c) / count + options.epsilon));
        statistics.rstd.data<T>()[g0 + c / group_size] = rstd;
        for (int64_t i = c; i < c + group_size; ++i) {
          scale[i] = gamma.data<T>()[c0 + i] * rstd;
          shift[i] = beta.data<T>()[c0 + i] - shift[i] * scale[i];
        }
      }
      [[maybe_unused]] const auto draw = [&](int64_t p) {
        DropoutMask(options, n).fill(p * channels + c0, width, keep, mask);
      };
      for (int64_t p = 0; p < positions; ++p) {
        if constexpr (dropout) draw(p);
        DDPM_NO_ALIAS
        for (int64_t c = 0; c < width; ++c) {
          T u = in[p * channels + c] * scale[c] + shift[c];
          if constexpr (silu) u = math::Silu{}(u);
          if constexpr (dropout) u *= mask[c];
          out[p * channels + c] = u;
        }
      }
    });
  };
  DDPM_FLOATS(x.dtype(), T, {
    with_options(options, [&](auto silu, auto dropout) { body(T{}, silu, dropout); });
  });
}

void group_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                         const GroupNormStatistics& statistics, const GroupNormOptions& options,
                         const Tensor& dy, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  const Pieces pieces(x, options.groups);
  const int64_t samples = x.shape()[0], positions = pieces.positions, channels = pieces.channels;
  const int64_t group_size = pieces.group_size;
  // Per-sample parts of dgamma and dbeta, summed over the samples in order at the end.
  Tensor dgamma_parts = Tensor::empty({samples, channels}, x.dtype(), x.device());
  Tensor dbeta_parts = Tensor::empty({samples, channels}, x.dtype(), x.device());
  const auto body = [&]<class T>(T, auto silu, auto dropout) {
    const T keep = static_cast<T>(1 / (1 - options.dropout));
    pieces.run(samples, [&](int64_t n, int64_t c0, int64_t width) {
      const int64_t offset = n * positions * channels + c0;
      const T* __restrict in = x.data<T>() + offset;
      const T* __restrict dout = dy.data<T>() + offset;
      T* __restrict din = dx.data<T>() + offset;
      const int64_t g0 = n * pieces.groups + c0 / group_size;
      const T* mean = statistics.mean.data<T>() + g0;
      const T* rstd = statistics.rstd.data<T>() + g0;
      std::vector<T> buffer(7 * width);
      std::array<T*, 7> part;
      for (size_t i = 0; i < part.size(); ++i) part[i] = buffer.data() + i * width;
      auto [sum_du, sum_du_xhat, inverse, centre, gain, bias, mask] = part;  // per channel
      for (int64_t c = 0; c < width; ++c) {
        inverse[c] = rstd[c / group_size];
        centre[c] = -mean[c / group_size] * inverse[c];  // xhat = x * inverse + centre
        gain[c] = gamma.data<T>()[c0 + c];
        bias[c] = beta.data<T>()[c0 + c];
      }
      [[maybe_unused]] const auto draw = [&](int64_t p) {
        DropoutMask(options, n).fill(p * channels + c0, width, keep, mask);
      };
      // Pass 1: du, the gradient before silu and dropout, goes to dx; its sums are kept.
      for (int64_t p = 0; p < positions; ++p) {
        if constexpr (dropout) draw(p);
        DDPM_NO_ALIAS
        for (int64_t c = 0; c < width; ++c) {
          const T xhat = in[p * channels + c] * inverse[c] + centre[c];
          T du = dout[p * channels + c];
          if constexpr (dropout) du *= mask[c];
          if constexpr (silu) du = math::SiluGrad{}(gain[c] * xhat + bias[c], du);
          din[p * channels + c] = du;
          sum_du[c] += du;
          sum_du_xhat[c] += du * xhat;
        }
      }
      std::copy_n(sum_du_xhat, width, dgamma_parts.data<T>() + n * channels + c0);
      std::copy_n(sum_du, width, dbeta_parts.data<T>() + n * channels + c0);
      // Pass 2: dx = rstd (gamma du - mean_g(gamma du) - xhat mean_g(gamma du xhat))
      const double count = static_cast<double>(positions * group_size);
      for (int64_t c = 0; c < width; c += group_size) {
        double total = 0, total_xhat = 0;
        for (int64_t i = c; i < c + group_size; ++i) {
          total += static_cast<double>(gain[i]) * static_cast<double>(sum_du[i]);
          total_xhat += static_cast<double>(gain[i]) * static_cast<double>(sum_du_xhat[i]);
        }
        std::fill_n(sum_du + c, group_size, static_cast<T>(total / count));
        std::fill_n(sum_du_xhat + c, group_size, static_cast<T>(total_xhat / count));
      }
      for (int64_t p = 0; p < positions; ++p) DDPM_NO_ALIAS
      for (int64_t c = 0; c < width; ++c) {
        const T xhat = in[p * channels + c] * inverse[c] + centre[c];
        T& d = din[p * channels + c];
        d = inverse[c] * (gain[c] * d - sum_du[c] - xhat * sum_du_xhat[c]);
      }
    });
  };
  DDPM_FLOATS(x.dtype(), T, {
    with_options(options, [&](auto silu, auto dropout) { body(T{}, silu, dropout); });
  });
  column_sum(dgamma_parts, channels, dgamma);
  column_sum(dbeta_parts, channels, dbeta);
}

}  // namespace cpu
}  // namespace ddpm
