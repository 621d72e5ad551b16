// Products feed sums only through std::fma where samples are made, so that no compiler can contract
// them differently and a seed names the same data everywhere.
#include "data/gaussian_mixture.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "framework/random/philox.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

// log(weight_k N(x; mean_k, variance_k)), (K).
std::vector<double> log_joint(const GaussianMixture& m, std::span<const double> x) {
  const int64_t dimension = m.dimension();
  DDPM_ASSERT(static_cast<int64_t>(x.size()) == dimension, "a point of {} numbers in {} dimensions",
              x.size(), dimension);
  std::vector<double> out(m.weights.size());
  for (int64_t k = 0; k < m.components(); ++k) {
    const double* mean = &m.means[k * dimension];
    const double* variance = &m.variances[k * dimension];
    double quadratic = 0, log_det = 0;
    for (int64_t d = 0; d < dimension; ++d) {
      const double r = x[d] - mean[d];
      quadratic += r * r / variance[d];
      log_det += std::log(2 * std::numbers::pi * variance[d]);
    }
    out[k] = std::log(m.weights[k]) - 0.5 * (quadratic + log_det);
  }
  return out;
}

// Subtracting the largest term keeps far-away points finite.
double log_sum_exp(const std::vector<double>& terms) {
  const double largest = *std::max_element(terms.begin(), terms.end());
  double sum = 0;
  for (double t : terms) sum += std::exp(t - largest);
  return largest + std::log(sum);
}

GaussianMixture equal_modes(int64_t components, int64_t dimension, double deviation) {
  DDPM_CHECK(components >= 1, "gaussian_mixture: {} modes; at least 1 is needed", components);
  DDPM_CHECK(std::isfinite(deviation) && deviation > 0,
             "gaussian_mixture: deviation {} is not positive", deviation);
  const size_t size = static_cast<size_t>(components * dimension);
  GaussianMixture m;
  m.weights.assign(components, 1.0 / static_cast<double>(components));
  m.means.resize(size);
  m.variances.assign(size, deviation * deviation);
  return m;
}

}  // namespace

void GaussianMixture::check() const {
  const size_t k = weights.size();
  DDPM_CHECK(k > 0 && !means.empty() && means.size() % k == 0 && variances.size() == means.size(),
             "gaussian_mixture: {} weights, {} means and {} variances do not fit together", k,
             means.size(), variances.size());
  for (double w : weights)
    DDPM_CHECK(std::isfinite(w) && w > 0, "gaussian_mixture: weight {} is not positive", w);
  for (double v : variances)
    DDPM_CHECK(std::isfinite(v) && v > 0, "gaussian_mixture: variance {} is not positive", v);
  for (double m : means) DDPM_CHECK(std::isfinite(m), "gaussian_mixture: mean {} is not finite", m);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  // Weights such as 0.333333 typed by hand should not pass for a third, rounding in a sum should.
  DDPM_CHECK(std::abs(sum - 1) < 1e-9, "gaussian_mixture: the weights sum to {}, not to 1", sum);
}

double GaussianMixture::log_density(std::span<const double> x) const {
  return log_sum_exp(log_joint(*this, x));
}

std::vector<double> GaussianMixture::responsibilities(std::span<const double> x) const {
  std::vector<double> r = log_joint(*this, x);
  const double total = log_sum_exp(r);
  for (double& v : r) v = std::exp(v - total);
  return r;
}

std::vector<double> GaussianMixture::score(std::span<const double> x) const {
  const std::vector<double> r = responsibilities(x);
  std::vector<double> out(x.size(), 0.0);
  for (size_t k = 0; k < r.size(); ++k)
    for (size_t d = 0; d < x.size(); ++d) {
      const size_t i = k * x.size() + d;
      out[d] += r[k] * (means[i] - x[d]) / variances[i];
    }
  return out;
}

GaussianMixture GaussianMixture::diffused(double signal, double noise) const {
  GaussianMixture m = *this;
  for (double& mean : m.means) mean *= signal;
  for (double& variance : m.variances) variance = signal * signal * variance + noise * noise;
  return m;
}

std::vector<int32_t> GaussianMixture::sample_components(uint64_t seed, int64_t first,
                                                        int64_t count) const {
  std::vector<double> cumulative(weights.size());
  std::partial_sum(weights.begin(), weights.end(), cumulative.begin());
  const uint32_t site = random_site("data/gaussian_mixture/component");
  std::vector<int32_t> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double u = to_uniform(philox(seed, {site, 0, static_cast<uint32_t>(first + i)}, 0).v[0]);
    // The last sum may round to just below 1.
    const auto k = std::upper_bound(cumulative.begin(), cumulative.end() - 1, u);
    out[i] = static_cast<int32_t>(k - cumulative.begin());
  }
  return out;
}

std::vector<float> GaussianMixture::sample(uint64_t seed, int64_t first, int64_t count) const {
  const int64_t dimension = this->dimension();
  const std::vector<int32_t> component = sample_components(seed, first, count);
  const uint32_t site = random_site("data/gaussian_mixture/normal");
  std::vector<float> out(static_cast<size_t>(count * dimension));
  for (int64_t i = 0; i < count; ++i) {
    const DrawId id{site, 0, static_cast<uint32_t>(first + i)};
    for (int64_t d = 0; d < dimension; d += 4) {
      const Float4 eps = to_normal(philox(seed, id, static_cast<uint32_t>(d / 4)));
      for (int64_t j = d; j < std::min(d + 4, dimension); ++j) {
        const int64_t p = component[i] * dimension + j;
        out[i * dimension + j] =
            static_cast<float>(std::fma(std::sqrt(variances[p]), eps.v[j - d], means[p]));
      }
    }
  }
  return out;
}

GaussianMixture ring_mixture(int64_t components, double radius, double deviation) {
  GaussianMixture m = equal_modes(components, 2, deviation);
  for (int64_t k = 0; k < components; ++k) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(components);
    m.means[2 * k] = radius * std::cos(angle);
    m.means[2 * k + 1] = radius * std::sin(angle);
  }
  m.check();
  return m;
}

GaussianMixture smooth_image_mixture(int64_t components, const Shape& shape, double deviation,
                                     uint64_t seed) {
  constexpr int64_t kGrid = 4;
  const int64_t height = shape[0], width = shape[1], channels = shape[2];
  GaussianMixture m = equal_modes(components, shape.numel(), deviation);
  const uint32_t site = random_site("data/gaussian_mixture/means");
  const auto lerp = [](double t, double a, double b) { return std::fma(t, b - a, a); };
  // Where pixel i of n falls on the grid: the corners of the image are the corners of the grid.
  struct Position {
    int64_t cell;
    double t;
  };
  const auto position = [](int64_t i, int64_t n) {
    const double at =
        n == 1 ? 0 : static_cast<double>(i * (kGrid - 1)) / static_cast<double>(n - 1);
    const int64_t cell = std::min(static_cast<int64_t>(at), kGrid - 2);
    return Position{cell, at - static_cast<double>(cell)};
  };
  double* mean = m.means.data();
  for (int64_t k = 0; k < components; ++k) {
    const auto grid = [&](int64_t y, int64_t x, int64_t c) {
      const auto element = static_cast<uint32_t>((y * kGrid + x) * channels + c);
      const Bits4 bits = philox(seed, {site, 0, static_cast<uint32_t>(k)}, element / 4);
      return 2.0 * to_uniform(bits.v[element % 4]) - 1.0;  // exact: no rounding to disagree about
    };
    for (int64_t h = 0; h < height; ++h)
      for (int64_t w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          const auto [y, ty] = position(h, height);
          const auto [x, tx] = position(w, width);
          *mean++ = lerp(ty, lerp(tx, grid(y, x, c), grid(y, x + 1, c)),
                         lerp(tx, grid(y + 1, x, c), grid(y + 1, x + 1, c)));
        }
  }
  m.check();
  return m;
}

}  // namespace ddpm
