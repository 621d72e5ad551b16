#include "diffusion/samplers/unipc.h"

#include <algorithm>

#include "diffusion/exponential_step.h"
#include "diffusion/samplers/dpm_solver.h"

namespace ddpm {
namespace {

// c with sum_m c[m] r[m]^k = b[k]: a Vandermonde system, by Bjorck and Pereyra (Golub & Van Loan,
// algorithm 4.6.2).
std::vector<double> solve_vandermonde(const std::vector<double>& r, std::vector<double> b) {
  const int n = static_cast<int>(r.size());
  for (int k = 0; k < n - 1; ++k)
    for (int i = n - 1; i > k; --i) b[i] -= r[k] * b[i - 1];
  for (int k = n - 2; k >= 0; --k) {
    for (int i = k + 1; i < n; ++i) b[i] /= r[i] - r[i - k - 1];
    for (int i = k; i < n - 1; ++i) b[i] -= b[i + 1];
  }
  return b;
}

// The weights c of (m_j - m_0) / r_j in the step, the points j at r_j h from its beginning.
std::vector<double> weights(const ExponentialStep& e, const std::vector<double>& r, bool bh1) {
  if (r.size() == 1) return {(bh1 ? e.g : e.phi_1()) / 2};
  std::vector<double> moments;
  double phi = e.phi_2(), factorial = 1;  // phi_{k+2} (k+1)!
  for (size_t k = 0; k < r.size(); ++k) {
    moments.push_back(phi * factorial);
    factorial *= static_cast<double>(k + 2);
    phi = phi / e.g - 1 / factorial;
  }
  return solve_vandermonde(r, moments);
}

}  // namespace

UniPcSampler::UniPcSampler(const Config& config)
    : Solver("unipc"),
      order_(static_cast<size_t>(
          config.integer("order", 2, 1, 3, "of the predictor; the corrector's is one more"))),
      bh1_(config.choice("variant", "bh2", {"bh1", "bh2"}, "B(h): h or e^h - 1") == "bh1"),
      grid_(config, "unipc", "log_snr", true) {
  options_.estimate = read_estimate(config, "x0");
  read_limits(config);
}

std::vector<NoiseLevel> UniPcSampler::grid(const NoiseLevels& levels) const {
  return grid_.ends(levels, grid_.evaluations());
}

size_t UniPcSampler::order_of(const std::vector<NoiseLevel>& grid, size_t i, size_t past) const {
  return grid[i + 1].noise == 0 ? 1 : std::min(order_, past + 1);
}

// From a corrected x that is `base`, m_0 = estimate[0] at grid[i]; the estimates before it follow.
Solver::Mix UniPcSampler::predicted(const std::vector<NoiseLevel>& grid, size_t i,
                                    size_t order) const {
  const ExponentialStep e(options_.estimate, grid[i], grid[i + 1]);
  Mix mix{.base = e.carry, .estimate = {-e.scaled_phi_1}};
  std::vector<double> r;
  for (size_t j = 1; j < order; ++j) r.push_back((grid[i - j].log_snr - grid[i].log_snr) / e.h);
  if (r.empty()) return mix;
  const std::vector<double> c = weights(e, r, bh1_);
  for (size_t j = 1; j < order; ++j) {
    const double w = -e.scale * c[j - 1] / r[j - 1];
    mix.estimate[j] += w;
    mix.estimate[0] -= w;
  }
  return mix;
}

// x at grid[i + 1] again, from the corrected x before it and, with estimate[0] now that at
// grid[i + 1] and estimate[1] the one at grid[i], one more point than the prediction had.
Solver::Mix UniPcSampler::corrected(const std::vector<NoiseLevel>& grid, size_t i,
                                    size_t order) const {
  const ExponentialStep e(options_.estimate, grid[i], grid[i + 1]);
  Mix mix{.base = e.carry, .estimate = {0, -e.scaled_phi_1}};
  std::vector<double> r;
  for (size_t j = 1; j < order; ++j) r.push_back((grid[i - j].log_snr - grid[i].log_snr) / e.h);
  r.push_back(1);
  const std::vector<double> c = weights(e, r, bh1_);
  for (size_t j = 1; j <= order; ++j) {
    const double w = -e.scale * c[j - 1] / r[j - 1];
    mix.estimate[j < order ? j + 1 : 0] += w;
    mix.estimate[1] -= w;
  }
  return mix;
}

std::vector<Solver::Move> UniPcSampler::step(const NoiseLevels&,
                                             const std::vector<NoiseLevel>& grid, size_t i,
                                             size_t past) const {
  const Mix base =
      past == 0 ? Mix{.x = 1} : corrected(grid, i - 1, order_of(grid, i - 1, past - 1));
  const Mix next = predicted(grid, i, order_of(grid, i, past));
  // The prediction's base is this step's, which is not kept yet: what it is made of.
  Mix moved = next;
  moved.base = 0;
  return {{.at = grid[i], .next = moved + base * next.base, .base = base}};
}

}  // namespace ddpm
