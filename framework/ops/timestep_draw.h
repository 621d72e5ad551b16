// Timesteps of a training batch, drawn otherwise than independently and uniformly. All of it stays
// on the device: a captured training step draws anew at every replay, and sees what it learned.
#pragma once

#include <cmath>

#include "framework/core/dispatch.h"
#include "framework/core/host_device.h"
#include "framework/core/tensor.h"

namespace ddpm {

// One timestep from each of N equal shares of {0, ..., timesteps - 1}, the n-th for row n:
// t[n] = floor((n + u[n]) timesteps / N). u (N) f64 in [0, 1) -> t (N) i32
void stratify_timesteps(const Tensor& u, int64_t timesteps, Tensor& t);
// Mirrors the first half: t[n + ceil(N / 2)] = timesteps - 1 - t[n]. t (N) i32, in place
void mirror_timesteps(int64_t timesteps, Tensor& t);

// The last losses that were seen at every timestep.
struct LossHistory {
  LossHistory(int64_t timesteps, int64_t length, Device device);

  Tensor losses;  // (T, length) f32
  Tensor counts;  // (T) i32: seen so far, from `length` on counted modulo `length`
};

// Appends the losses of a batch in the order of its rows, each in place of the oldest of its
// timestep. Losses that are not finite leave no trace. t (N) i32, losses (N) f32
void record_losses(const Tensor& t, const Tensor& losses, LossHistory& history);

// t ~ p with p_t = (1 - uniform_share) sqrt(E[L_t^2]) / sum + uniform_share / T, and the weights
// 1 / (T p_t) under which a mean over the batch estimates the mean over all timesteps (Nichol &
// Dhariwal 2021, eq. 18). Uniform, with weights 1, until every timestep has a whole history.
// u (N) f64 in [0, 1) -> t (N) i32, weights (N) f32
void draw_by_second_moment(const LossHistory& history, double uniform_share, const Tensor& u,
                           Tensor& t, Tensor& weights);

DDPM_KERNEL(void stratify(const Tensor& u, int64_t timesteps, Tensor& t));
DDPM_KERNEL(void mirror(int64_t timesteps, Tensor& t));
DDPM_KERNEL(void record(const Tensor& t, const Tensor& losses, LossHistory& history));
// (T) f64: the root of the second moment, or -1 where the history is not whole.
DDPM_KERNEL(void second_moment_roots(const LossHistory& history, Tensor& roots));
// (T) f64: p_0 + ... + p_t
DDPM_KERNEL(void cumulate(const Tensor& roots, double uniform_share, Tensor& cumulative));
DDPM_KERNEL(void draw_from(const Tensor& cumulative, const Tensor& u, Tensor& t, Tensor& weights));

namespace math {

// Row n of `rows`; rounding must not lead out of its share's end.
DDPM_HD inline int32_t stratified(double u, int64_t n, int64_t rows, int64_t timesteps) {
  const double place = (static_cast<double>(n) + u) * static_cast<double>(timesteps);
  const auto t = static_cast<int64_t>(place / static_cast<double>(rows));
  return static_cast<int32_t>(t < timesteps ? t : timesteps - 1);
}

// Where the next loss of a timestep belongs.
DDPM_HD inline int64_t next_slot(int32_t& count, int64_t length) {
  const int64_t slot = count % length;
  if (++count == 2 * length) count = static_cast<int32_t>(length);
  return slot;
}

DDPM_HD inline double second_moment_root(const float* losses, int32_t count, int64_t length) {
  if (count < length) return -1;
  double sum = 0;
  for (int64_t i = 0; i < length; ++i) {
    const auto loss = static_cast<double>(losses[i]);
    sum = ::fma(loss, loss, sum);  // spelt out, so that backends round alike
  }
  return ::sqrt(sum / static_cast<double>(length));
}

// One thread's work: T additions are too few to share out.
DDPM_HD inline void cumulate(const double* roots, int64_t timesteps, double uniform_share,
                             double* cumulative) {
  double total = 0;
  bool whole = true;
  for (int64_t t = 0; t < timesteps; ++t) {
    whole = whole && roots[t] >= 0;
    total += roots[t];
  }
  const double uniform = 1 / static_cast<double>(timesteps);
  const bool learned = whole && total > 0;
  const double by_moment = learned ? (1 - uniform_share) / total : 0;
  const double by_share = learned ? uniform_share * uniform : uniform;
  double sum = 0;
  for (int64_t t = 0; t < timesteps; ++t) {
    sum += learned ? ::fma(by_moment, roots[t], by_share) : by_share;
    cumulative[t] = sum;
  }
}

// The first t with u < cumulative[t]; rounding must not lead beyond the last.
DDPM_HD inline int32_t draw_from(const double* cumulative, int64_t timesteps, double u) {
  int64_t low = 0, high = timesteps - 1;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (u < cumulative[middle])
      high = middle;
    else
      low = middle + 1;
  }
  return static_cast<int32_t>(low);
}

DDPM_HD inline float draw_weight(const double* cumulative, int64_t timesteps, int32_t t) {
  const double p = cumulative[t] - (t > 0 ? cumulative[t - 1] : 0);
  return static_cast<float>(1 / (static_cast<double>(timesteps) * p));
}

}  // namespace math
}  // namespace ddpm
