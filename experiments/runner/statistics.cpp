#include "experiments/runner/statistics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "experiments/runner/resampling.h"

namespace ddpm {
namespace {

// P(|T| > t) by the continued fraction of the incomplete beta function I_x(a, b) with
// x = nu / (nu + t^2), a = nu / 2, b = 1/2 (Lentz's method, DLMF 8.17.22).
double two_sided_tail(double t, double nu) {
  const double a = nu / 2, b = 0.5, x = nu / (nu + t * t);
  if (x >= 1) return 1;
  const auto fraction = [](double p, double q, double z) {
    constexpr double kTiny = 1e-300;
    double c = 1, d = 1 / std::max(1 - (p + q) * z / (p + 1), kTiny), f = d;
    for (int m = 1; m < 500; ++m) {
      for (const double term : {m * (q - m) * z / ((p + 2 * m - 1) * (p + 2 * m)),
                                -(p + m) * (p + q + m) * z / ((p + 2 * m) * (p + 2 * m + 1))}) {
        d = 1 / (1 + term * d);
        c = 1 + term / c;
        f *= c * d;
      }
      if (std::abs(c * d - 1) < 1e-16) break;
    }
    return f;
  };
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * fraction(a, b, x) / a;
  return 1 - front * fraction(b, a, 1 - x) / b;
}

}  // namespace

double student_t_quantile(double p, double nu) {
  if (p < 0.5) return -student_t_quantile(1 - p, nu);
  double low = 0, high = 1;
  const double tail = 2 * (1 - p);
  while (two_sided_tail(high, nu) > tail) high *= 2;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (two_sided_tail(middle, nu) > tail ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::string name_of(IntervalMethod method) { return method == IntervalMethod::kT ? "t" : "bca"; }

nlohmann::ordered_json summarise(const std::vector<double>& values, IntervalMethod method) {
  if (values.empty()) return {{"n", 0}};
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (double v : values) squares += (v - mean) * (v - mean);
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  const double median = sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  nlohmann::ordered_json json = {{"n", values.size()}, {"mean", mean}};
  if (values.size() > 1) {
    const double deviation = std::sqrt(squares / (n - 1)), sem = deviation / std::sqrt(n);
    const double reach = student_t_quantile(0.975, n - 1) * sem;
    const Interval ci =
        method == IntervalMethod::kT ? Interval{mean - reach, mean + reach} : bca_interval(values);
    json.update({{"std", deviation}, {"sem", sem}, {"ci95", {ci.low, ci.high}}});
  } else {
    json.update({{"std", nullptr}, {"sem", nullptr}, {"ci95", nullptr}});
  }
  json.update({{"ci_method", name_of(method)},
               {"median", median},
               {"min", sorted.front()},
               {"max", sorted.back()},
               {"values", values}});
  return json;
}

}  // namespace ddpm
