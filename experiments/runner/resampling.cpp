#include "experiments/runner/resampling.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "experiments/runner/statistics.h"
#include "framework/random/philox.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

constexpr uint32_t kResamples = 10'000;
constexpr uint32_t kDraws = 100'000;
constexpr size_t kMostSigns = 20;
constexpr double kMostSplits = 200'000;

// Sums of the same numbers in another order differ by rounding: they count as equal.
constexpr double kTie = 1e-12;

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}
double mean_of(const std::vector<double>& values) {
  return sum_of(values) / static_cast<double>(values.size());
}
double size_of(const std::vector<double>& values) {
  double size = 0;
  for (double v : values) size += std::abs(v);
  return size;
}

// The i-th 32-bit number of a row.
uint32_t draw(uint32_t site, uint32_t row, size_t i) {
  return philox(0, {site, 0, row}, static_cast<uint32_t>(i / 4)).v[i % 4];
}

double normal_cdf(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }

double normal_quantile(double p) {
  double low = -40, high = 40;  // beyond which a double knows no tail
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

// Means of resamples. Each adds its values in the order of the sample, so that a resample that is
// the sample has its mean to the last bit.
std::vector<double> resampled_means(const std::vector<double>& values) {
  const uint32_t site = random_site("statistics/bootstrap");
  const uint32_t n = static_cast<uint32_t>(values.size());
  std::vector<double> means(kResamples);
  std::vector<int> counts(n);
  for (uint32_t row = 0; row < kResamples; ++row) {
    std::fill(counts.begin(), counts.end(), 0);
    for (uint32_t i = 0; i < n; ++i) ++counts[to_index(draw(site, row, i), n)];
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i) sum += counts[i] * values[i];
    means[row] = sum / n;
  }
  return means;
}

// Linear between order statistics, as numpy's default.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), sorted.size() - 2);
  const double share = place - static_cast<double>(below);
  return sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

// Skewness of the mean's influence, by leaving out each value in turn.
double acceleration(const std::vector<double>& values, double mean) {
  double squares = 0, cubes = 0;
  for (double v : values) {
    const double influence = v - mean;
    squares += influence * influence;
    cubes += influence * influence * influence;
  }
  return cubes / (6 * std::pow(squares, 1.5));
}

double variance_of_mean(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size()), mean = mean_of(values);
  double squares = 0;
  for (double v : values) squares += (v - mean) * (v - mean);
  return squares / (n - 1) / n;
}

// How many sign patterns of values[i ...] on top of `sum` end at least `reach` from zero.
int64_t count_signs(const std::vector<double>& values, size_t i, double sum, double reach) {
  if (i == values.size()) return std::abs(sum) >= reach;
  return count_signs(values, i + 1, sum + values[i], reach) +
         count_signs(values, i + 1, sum - values[i], reach);
}

// How many ways to add `left` of values[i ...] to `sum` end where `is_far` says so.
template <class IsFar>
int64_t count_splits(const std::vector<double>& values, size_t i, size_t left, double sum,
                     const IsFar& is_far) {
  if (left == 0) return is_far(sum);
  if (left > values.size() - i) return 0;
  return count_splits(values, i + 1, left - 1, sum + values[i], is_far) +
         count_splits(values, i + 1, left, sum, is_far);
}

double splits(int64_t n, int64_t m) {
  return std::round(std::exp(std::lgamma(n + m + 1) - std::lgamma(n + 1) - std::lgamma(m + 1)));
}

}  // namespace

Interval bca_interval(const std::vector<double>& values) {
  if (values.size() < 2) return {NAN, NAN};
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  if (*min == *max) return {*min, *max};
  const double mean = mean_of(values), tie = kTie * size_of(values);
  std::vector<double> means = resampled_means(values);
  std::sort(means.begin(), means.end());
  const auto below = std::lower_bound(means.begin(), means.end(), mean - tie) - means.begin();
  const auto up_to = std::upper_bound(means.begin(), means.end(), mean + tie) - means.begin();
  const double bias = normal_quantile(static_cast<double>(below + up_to) / (2.0 * kResamples));
  const double a = acceleration(values, mean);
  const auto end = [&](double p) {
    const double z = bias + normal_quantile(p);
    return quantile(means, normal_cdf(bias + z / (1 - a * z)));
  };
  return {end(0.025), end(0.975)};
}

Interval welch_interval(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() < 2 || b.size() < 2) return {NAN, NAN};
  const double difference = mean_of(a) - mean_of(b);
  const double va = variance_of_mean(a), vb = variance_of_mean(b), both = va + vb;
  if (both == 0) return {difference, difference};
  const double na = static_cast<double>(a.size()), nb = static_cast<double>(b.size());
  const double freedom = both * both / (va * va / (na - 1) + vb * vb / (nb - 1));
  const double reach = student_t_quantile(0.975, freedom) * std::sqrt(both);
  return {difference - reach, difference + reach};
}

double sign_flip_p(const std::vector<double>& differences) {
  if (differences.empty()) return 1;
  const double reach = std::abs(sum_of(differences)) - kTie * size_of(differences);
  if (differences.size() <= kMostSigns) {
    // The other half has all signs turned around, and the same distances from zero.
    const int64_t far = count_signs(differences, 1, differences[0], reach);
    return static_cast<double>(far) * smallest_sign_flip_p(std::ssize(differences));
  }
  const uint32_t site = random_site("statistics/sign_flip");
  int64_t far = 1;  // the observed signs are one of the draws
  for (uint32_t row = 0; row < kDraws; ++row) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i)
      sum += draw(site, row, i) >> 31 ? differences[i] : -differences[i];
    far += std::abs(sum) >= reach;
  }
  return static_cast<double>(far) / (kDraws + 1.0);
}

double permutation_p(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.empty() || b.empty()) return 1;
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  const double na = static_cast<double>(a.size()), nb = static_cast<double>(b.size());
  const double total = sum_of(all);
  const auto distance = [&](double sum_a) { return std::abs(sum_a / na - (total - sum_a) / nb); };
  const double reach = distance(sum_of(a)) - kTie * size_of(all);
  const double count = splits(std::ssize(a), std::ssize(b));
  if (count <= kMostSplits) {
    const int64_t far =
        count_splits(all, 0, a.size(), 0, [&](double sum) { return distance(sum) >= reach; });
    return static_cast<double>(far) / count;
  }
  const uint32_t site = random_site("statistics/permutation");
  int64_t far = 1;  // the observed split is one of the draws
  for (uint32_t row = 0; row < kDraws; ++row) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {  // Fisher and Yates, as far as the first group
      const uint32_t left = static_cast<uint32_t>(all.size() - i);
      std::swap(all[i], all[i + to_index(draw(site, row, i), left)]);
      sum += all[i];
    }
    far += distance(sum) >= reach;
  }
  return static_cast<double>(far) / (kDraws + 1.0);
}

double smallest_sign_flip_p(int64_t n) { return n < 1 ? 1 : std::ldexp(2.0, -static_cast<int>(n)); }

double smallest_permutation_p(int64_t n, int64_t m) {
  if (n < 1 || m < 1) return 1;
  // Groups of one size may be exchanged; otherwise one split may be the farthest of all.
  return std::min(1.0, (n == m ? 2 : 1) / splits(n, m));
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] < p[j]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const double left = static_cast<double>(order.size() - i);
    largest = std::max(largest, std::min(1.0, left * p[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

}  // namespace ddpm
