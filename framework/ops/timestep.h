// What depends on the timestep t of each sample: t is (N) i32, tables are (T) of the compute type.
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// Sinusoidal embedding (Vaswani et al. 2017, as in the DDPM network): with half = dimension / 2,
//   y[n] = [sin(t f_0) .. sin(t f_{half-1}), cos(t f_0) ..],  f_i = 10000^(-i / (half - 1))
// An odd dimension is padded with a zero. -> (N, dimension)
Tensor timestep_embedding(const Tensor& t, int64_t dimension, DType dtype);

// x (N, ..., C), bias (N, C) -> x with bias[n, c] added at every position
Tensor add_per_sample(const Tensor& x, const Tensor& bias);

// y[n] = a[t[n]] * u[n] + b[t[n]] * v[n] for rows of any shape. One op serves q(x_t | x_0), the
// training target, the x_0 estimate, the posterior mean and DDIM. -> shape of u
Tensor timestep_mix(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                    const Tensor& t);
// y[n] = a[t[n]] * u[n]
Tensor timestep_scale(const Tensor& a, const Tensor& u, const Tensor& t);
// y[n, ...] = table[t[n]], of shape `shape`; tables carry no gradient.
Tensor timestep_fill(const Tensor& table, const Tensor& t, Shape shape);
// y[n] = t[n] == 0 ? first[n] : other[n]: the decoder term is chosen by a mask, never on the host.
Tensor where_first_timestep(const Tensor& t, const Tensor& first, const Tensor& other);

DDPM_KERNEL(void timestep_embedding_forward(const Tensor& t, Tensor& y));
DDPM_KERNEL(void add_per_sample_forward(const Tensor& x, const Tensor& bias, Tensor& y));
// dbias[n, c] = sum over positions of dy[n, :, c]
DDPM_KERNEL(void add_per_sample_backward(const Tensor& dy, Tensor& dbias));
// An empty v drops the second term; y may not be an input.
DDPM_KERNEL(void timestep_mix_forward(const Tensor& a, const Tensor& u, const Tensor& b,
                                      const Tensor& v, const Tensor& t, Tensor& y));
DDPM_KERNEL(void timestep_fill_forward(const Tensor& table, const Tensor& t, Tensor& y));
// An empty input reads as zero: the forward map and, with one side empty, its adjoints.
DDPM_KERNEL(void where_first_timestep_forward(const Tensor& t, const Tensor& first,
                                              const Tensor& other, Tensor& y));

}  // namespace ddpm
