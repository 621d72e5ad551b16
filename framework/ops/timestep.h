// What depends on the timestep t of each sample: t is (N) i32 with values in {0, ..., T - 1},
// tables are (T) of the compute type. Both are read from device memory only, so a captured training
// or sampling step sees new timesteps at every replay.
#pragma once

#include <cmath>
#include <vector>

#include "framework/core/dispatch.h"
#include "framework/core/host_device.h"
#include "framework/core/tensor.h"

namespace ddpm {

// The same t for every sample, from the host. -> (count) i32
Tensor same_timestep(int32_t t, int64_t count, Device device);

// Sinusoidal embedding (Vaswani et al. 2017, as in the DDPM network): with half = dimension / 2,
//   y[n] = [sin(t f_0) .. sin(t f_{half-1}), cos(t f_0) ..],  f_i = 10000^(-i / (half - 1))
// An odd dimension is padded with a zero. t is (N) i32, or f64 for samplers that ask the network
// between its timesteps. -> (N, dimension)
Tensor timestep_embedding(const Tensor& t, int64_t dimension, DType dtype);

// y[n] = a[t[n]] * u[n] + b[t[n]] * v[n] for rows of any shape. One op serves q(x_t | x_0), the
// training target, the x_0 estimate, the posterior mean and DDIM. t is (N) i32, or f64 in [0, T -
// 1]: between timesteps tables are linear. -> shape of u
Tensor timestep_mix(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                    const Tensor& t);
// y[n] = a[t[n]] * u[n]
Tensor timestep_scale(const Tensor& a, const Tensor& u, const Tensor& t);
// y[n, ...] = table[t[n]], of shape `shape`; tables carry no gradient.
Tensor timestep_fill(const Tensor& table, const Tensor& t, Shape shape);
// y[n] = t[n] == 0 ? first[n] : other[n]: the decoder term is chosen by a mask, never on the host.
Tensor where_first_timestep(const Tensor& t, const Tensor& first, const Tensor& other);

// Sampling only, no gradients.
// y[n] = mean[n] + [t[n] > 0] exp(log_variance[n] / 2) noise[n]: DDPM algorithm 2, line 4.
Tensor ancestral_step(const Tensor& mean, const Tensor& log_variance, const Tensor& noise,
                      const Tensor& t);
// y[n] = sum_j table[t[n], j] * terms[j][n], for a table (T, terms): the step of a sampler whose
// coefficients are known beforehand. A term whose coefficient is zero is not read, whatever it
// holds. At most kMaxTerms.
inline constexpr size_t kMaxTerms = 8;
Tensor timestep_sum(const Tensor& table, const std::vector<Tensor>& terms, const Tensor& t);
// index[n] = counter[0], t[n] = timesteps[counter[0]], then ++counter[0]. timesteps (S) i32 or f64
// are the ones a sampler visits, t is (N) of their type, index (N) i32, counter (2) i64 is that of
// its RandomStream; beyond the end the last one is repeated.
void next_timestep(const Tensor& timesteps, Tensor& counter, Tensor& index, Tensor& t);

DDPM_KERNEL(void timestep_embedding_forward(const Tensor& t, Tensor& y));
// An empty v drops the second term; y may not be an input.
DDPM_KERNEL(void timestep_mix_forward(const Tensor& a, const Tensor& u, const Tensor& b,
                                      const Tensor& v, const Tensor& t, Tensor& y));
DDPM_KERNEL(void timestep_fill_forward(const Tensor& table, const Tensor& t, Tensor& y));
// An empty input reads as zero: the forward map and, with one side empty, its adjoints.
DDPM_KERNEL(void where_first_timestep_forward(const Tensor& t, const Tensor& first,
                                              const Tensor& other, Tensor& y));
DDPM_KERNEL(void ancestral_step_forward(const Tensor& mean, const Tensor& log_variance,
                                        const Tensor& noise, const Tensor& t, Tensor& y));
DDPM_KERNEL(void timestep_sum_forward(const Tensor& table, const std::vector<Tensor>& terms,
                                      const Tensor& t, Tensor& y));
DDPM_KERNEL(void next_timestep_forward(const Tensor& timesteps, Tensor& counter, Tensor& index,
                                       Tensor& t));

// f(values) for timesteps of either type.
template <class F>
void with_timesteps(const Tensor& t, F&& f) {
  t.dtype() == DType::kF64 ? f(t.data<double>()) : f(t.data<int32_t>());
}

namespace math {

// A table at a timestep, or between two.
template <class T>
DDPM_HD T at_timestep(const T* table, int32_t t) {
  return table[t];
}
template <class T>
DDPM_HD T at_timestep(const T* table, double t) {
  const auto below = static_cast<int64_t>(t);
  const double share = t - static_cast<double>(below);
  if (share == 0) return table[below];
  return static_cast<T>((1 - share) * static_cast<double>(table[below]) +
                        share * static_cast<double>(table[below + 1]));
}

// Element i of an embedding. Angles reach 1000 and more: in double, their error stays below f32's.
struct TimestepEmbedding {
  int64_t dimension;
  DDPM_HD double operator()(double t, int64_t i) const {
    const int64_t half = dimension / 2, k = i < half ? i : i - half;
    if (k >= half) return 0;
    const double step = ::log(10000.0) / static_cast<double>(half - 1);
    const double angle = t * ::exp(-step * static_cast<double>(k));
    return i < half ? ::sin(angle) : ::cos(angle);
  }
};

}  // namespace math
}  // namespace ddpm
