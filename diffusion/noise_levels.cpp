#include "diffusion/noise_levels.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace ddpm {

NoiseLevels::NoiseLevels(const DiffusionTables& tables)
    : signal_(tables.signal), noise_(tables.noise) {
  double sum = 0;
  for (const double beta : tables.beta) log_alpha_bar_.push_back(sum += std::log1p(-beta));
}

NoiseLevel NoiseLevels::whole(size_t t) const {
  return {static_cast<double>(t), signal_[t], noise_[t], std::log(signal_[t] / noise_[t])};
}

NoiseLevel NoiseLevels::at_time(double t) const {
  const auto below = static_cast<size_t>(t);
  const double share = t - static_cast<double>(below);
  if (share == 0) return whole(below);
  const double log_alpha_bar =
      (1 - share) * log_alpha_bar_[below] + share * log_alpha_bar_[below + 1];
  const double signal = std::exp(log_alpha_bar / 2), noise = std::sqrt(-std::expm1(log_alpha_bar));
  return {t, signal, noise, std::log(signal / noise)};
}

NoiseLevel NoiseLevels::at_log_snr(double log_snr) const {
  const double log_alpha_bar = -std::log1p(std::exp(-2 * log_snr));
  if (log_alpha_bar >= log_alpha_bar_.front()) return first();
  if (log_alpha_bar <= log_alpha_bar_.back()) return last();
  const auto next = std::lower_bound(log_alpha_bar_.begin(), log_alpha_bar_.end(), log_alpha_bar,
                                     std::greater<>());
  const double above = next[-1], share = (above - log_alpha_bar) / (above - *next);
  return {static_cast<double>(next - 1 - log_alpha_bar_.begin()) + share,
          1 / std::sqrt(1 + std::exp(-2 * log_snr)), 1 / std::sqrt(1 + std::exp(2 * log_snr)),
          log_snr};
}

}  // namespace ddpm
