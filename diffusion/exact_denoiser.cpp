#include "diffusion/exact_denoiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "diffusion/host_values.h"
#include "diffusion/noise_levels.h"
#include "framework/autograd/tape.h"

namespace ddpm {

// Given x_t and its component k, x_0 is normal: with gain g = signal v / (signal^2 v + noise^2) its
// mean is m + g (x_t - signal m) and its variance v (1 - g signal). The mixture of these over the
// responsibilities adds the spread of the means.
Denoised denoise(const GaussianMixture& mixture, std::span<const double> x_t, double signal,
                 double noise) {
  const std::vector<double> r = mixture.diffused(signal, noise).responsibilities(x_t);
  const size_t dimension = x_t.size();
  Denoised x0{std::vector<double>(dimension), std::vector<double>(dimension)};
  for (size_t d = 0; d < dimension; ++d) {
    double mean = 0, within = 0, square = 0;
    for (size_t k = 0; k < r.size(); ++k) {
      const double m = mixture.means[k * dimension + d], v = mixture.variances[k * dimension + d];
      const double gain = signal * v / (signal * signal * v + noise * noise);
      const double given_k = m + gain * (x_t[d] - signal * m);
      mean += r[k] * given_k;
      square += r[k] * given_k * given_k;
      within += r[k] * v * (1 - gain * signal);
    }
    x0.mean[d] = mean;
    x0.variance[d] = within + std::max(0.0, square - mean * mean);
  }
  return x0;
}

namespace {

// What a network's row is computed at.
struct RowLevel {
  NoiseLevel at;
  Parameterization::Coefficients p;
};

// The product of u with the Jacobian of E[x_0 | x_t], which is symmetric: signal / noise^2 times
// the covariance of x_0 given x_t, that within the components and that between their means.
std::vector<double> denoise_vjp(const GaussianMixture& mixture, std::span<const double> x_t,
                                const NoiseLevel& at, std::span<const double> u) {
  const std::vector<double> r = mixture.diffused(at.signal, at.noise).responsibilities(x_t);
  const size_t dimension = x_t.size();
  std::vector<double> given(r.size() * dimension), mean(dimension), product(dimension);
  for (size_t k = 0; k < r.size(); ++k)
    for (size_t d = 0; d < dimension; ++d) {
      const double m = mixture.means[k * dimension + d], v = mixture.variances[k * dimension + d];
      const double gain = at.signal * v / (at.signal * at.signal * v + at.noise * at.noise);
      given[k * dimension + d] = m + gain * (x_t[d] - at.signal * m);
      mean[d] += r[k] * given[k * dimension + d];
      product[d] += r[k] * v * (1 - gain * at.signal) * u[d];
    }
  for (size_t k = 0; k < r.size(); ++k) {
    double along = 0;
    for (size_t d = 0; d < dimension; ++d) along += (given[k * dimension + d] - mean[d]) * u[d];
    for (size_t d = 0; d < dimension; ++d)
      product[d] += r[k] * (given[k * dimension + d] - mean[d]) * along;
  }
  for (double& p : product) p *= at.signal / (at.noise * at.noise);
  return product;
}

// The gradient of the prediction, rows of `width` channels of which the first `channels` are it.
std::vector<double> prediction_vjp(const GaussianMixture& mixture, const std::vector<double>& x,
                                   const std::vector<RowLevel>& rows, int64_t channels,
                                   int64_t width, const std::vector<double>& dy) {
  const auto dimension = static_cast<size_t>(mixture.dimension());
  std::vector<double> dx(x.size()), u(dimension);
  for (size_t n = 0; n < rows.size(); ++n) {
    const auto& [at, p] = rows[n];
    const auto dy_of = [&, n = n](size_t d) {
      const size_t i = n * dimension + d, c = static_cast<size_t>(channels);
      return dy[i / c * static_cast<size_t>(width) + i % c];
    };
    // The prediction is target_x0 x_0 + target_epsilon (x_t - signal x_0) / noise.
    const double of_epsilon = p.target_epsilon / at.noise;
    for (size_t d = 0; d < dimension; ++d) u[d] = (p.target_x0 - of_epsilon * at.signal) * dy_of(d);
    const std::vector<double> through_x0 =
        denoise_vjp(mixture, std::span(&x[n * dimension], dimension), at, u);
    for (size_t d = 0; d < dimension; ++d)
      dx[n * dimension + d] = through_x0[d] + of_epsilon * dy_of(d);
  }
  return dx;
}

}  // namespace

Model exact_denoiser(GaussianMixture mixture, const GaussianDiffusion& process) {
  mixture.check();
  return [mixture = std::move(mixture), levels = NoiseLevels(process.tables()), &process](
             const Tensor& x_t, const Tensor& t) {
    const DiffusionTables& tables = process.tables();
    const int64_t samples = x_t.shape()[0], channels = x_t.shape()[-1];
    const int64_t dimension = x_t.numel() / samples, width = process.output_channels(channels);
    DDPM_CHECK(dimension == mixture.dimension(),
               "exact_denoiser: samples {} of a mixture in {} dimensions", x_t.shape(),
               mixture.dimension());
    const std::vector<double> x = read_values(x_t);
    const bool between = t.dtype() == DType::kF64;
    const std::vector<int32_t> steps = between ? std::vector<int32_t>() : t.to_host<int32_t>();
    const std::vector<double> times = between ? t.to_host<double>() : std::vector<double>();
    std::vector<double> out(samples * dimension / channels * width);
    std::vector<RowLevel> rows;
    for (int64_t n = 0; n < samples; ++n) {
      const NoiseLevel at = levels.at_time(between ? times[n] : steps[n]);
      const std::span<const double> row(&x[n * dimension], dimension);
      const Denoised x0 = denoise(mixture, row, at.signal, at.noise);
      const Parameterization::Coefficients p =
          between ? process.parameterization().at_level(at.signal, at.noise)
                  : process.parameterization().at(tables, steps[n]);
      rows.push_back({at, p});
      for (int64_t d = 0; d < dimension; ++d) {
        double* pixel = &out[(n * dimension + d) / channels * width];
        const double epsilon = (row[d] - at.signal * x0.mean[d]) / at.noise;
        pixel[d % channels] = p.target_x0 * x0.mean[d] + p.target_epsilon * epsilon;
        if (between || !process.variance().learned()) continue;
        const int32_t step = steps[n];
        const Variance::Coefficients v = process.variance().at(tables, step);
        const double variance = tables.posterior_variance[step] + tables.posterior_x0[step] *
                                                                      tables.posterior_x0[step] *
                                                                      x0.variance[d];
        pixel[channels + d % channels] = (std::log(variance) - v.offset) / v.slope;
      }
    }
    Tensor y = write_values(out, x_t.shape().with_inner(width), x_t.dtype(), x_t.device());
    Tape::record("exact_denoiser", {x_t}, y, [=, slot = x_t.slot()](const Tensor& dy) {
      const auto dx = prediction_vjp(mixture, x, rows, channels, width, read_values(dy));
      accumulate_grad(slot, write_values(dx, slot->shape, dy.dtype(), dy.device()));
    });
    return y;
  };
}

}  // namespace ddpm
