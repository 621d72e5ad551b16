#include "diffusion/exact_flow.h"

#include <cmath>

#include "diffusion/exact_denoiser.h"

namespace ddpm {
namespace {

// d (x / noise) / d lambda = e^lambda E[x_0 | x]
std::vector<double> slope(const GaussianMixture& mixture, const std::vector<double>& scaled,
                          double log_snr) {
  const double noise = 1 / std::sqrt(1 + std::exp(2 * log_snr)), e = std::exp(log_snr);
  std::vector<double> x = scaled;
  for (double& v : x) v *= noise;
  std::vector<double> mean = denoise(mixture, x, e * noise, noise).mean;
  for (double& v : mean) v *= e;
  return mean;
}

std::vector<double> plus(const std::vector<double>& a, double factor,
                         const std::vector<double>& b) {
  std::vector<double> sum = a;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += factor * b[i];
  return sum;
}

}  // namespace

std::vector<double> exact_flow(const GaussianMixture& mixture, const std::vector<double>& x,
                               const NoiseLevel& from, const NoiseLevel& to, int steps) {
  const double h = (to.log_snr - from.log_snr) / steps;
  const auto dimension = static_cast<size_t>(mixture.dimension());
  std::vector<double> all;
  for (size_t begin = 0; begin < x.size(); begin += dimension) {
    std::vector<double> y(x.begin() + static_cast<int64_t>(begin),
                          x.begin() + static_cast<int64_t>(begin + dimension));
    for (double& v : y) v /= from.noise;
    for (int i = 0; i < steps; ++i) {
      const double l = from.log_snr + i * h;
      const std::vector<double> k1 = slope(mixture, y, l);
      const std::vector<double> k2 = slope(mixture, plus(y, h / 2, k1), l + h / 2);
      const std::vector<double> k3 = slope(mixture, plus(y, h / 2, k2), l + h / 2);
      const std::vector<double> k4 = slope(mixture, plus(y, h, k3), l + h);
      for (size_t d = 0; d < dimension; ++d)
        y[d] += h / 6 * (k1[d] + 2 * k2[d] + 2 * k3[d] + k4[d]);
    }
    for (double& v : y) v *= to.noise;
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

}  // namespace ddpm
