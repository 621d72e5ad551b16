#include "diffusion/dormand_prince.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "framework/core/check.h"

namespace ddpm {
namespace {

constexpr int kStages = 7;
constexpr double kNodes[kStages] = {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
// The last row is also the solution of fifth order: its stage is the first of the next step.
constexpr double kWeights[kStages][kStages - 1] = {
    {},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}};
// The solution of fifth order less the one of fourth.
constexpr double kError[kStages] = {71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                    -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
constexpr double kSafety = 0.9, kLeastFactor = 0.2, kMostFactor = 10;

class Integration {
 public:
  Integration(const Derivative& derivative, double from, double to, std::vector<double> y,
              const std::vector<int64_t>& parts, const OdeOptions& options)
      : derivative_(derivative),
        to_(to),
        direction_(to < from ? -1 : 1),
        parts_(parts),
        options_(options),
        width_(static_cast<size_t>(std::accumulate(parts.begin(), parts.end(), int64_t{0}))),
        count_(y.size() / width_),
        y_(std::move(y)),
        s_(count_, from),
        step_(count_),
        is_retry_(count_),
        evaluations_(count_) {
    DDPM_ASSERT(count_ * width_ == y_.size(), "{} values in rows of {}", y_.size(), width_);
    for (std::vector<double>& k : k_) k.resize(y_.size());
  }

  OdeSolution solve() {
    evaluate(s_, y_, k_[0]);
    choose_first_steps();
    while (!all([&](size_t n) { return has_arrived(n); })) step();
    return {std::move(y_), std::move(evaluations_)};
  }

 private:
  template <class Predicate>
  bool all(const Predicate& holds) const {
    for (size_t n = 0; n < count_; ++n)
      if (!holds(n)) return false;
    return true;
  }
  double rest(size_t n) const { return direction_ * (to_ - s_[n]); }
  bool has_arrived(size_t n) const { return s_[n] == to_; }

  void evaluate(const std::vector<double>& s, const std::vector<double>& y,
                std::vector<double>& dy) {
    derivative_(s, y, dy);
    for (size_t n = 0; n < count_; ++n) {
      if (has_arrived(n)) continue;
      DDPM_CHECK(++evaluations_[n] <= options_.max_evaluations,
                 "ode: {} evaluations were not enough for atol {} and rtol {}; it got to {} on "
                 "the way to {}. Larger tolerances need fewer",
                 options_.max_evaluations, options_.atol, options_.rtol, s_[n], to_);
    }
  }

  // Of row n: the root mean square of value(i) / (atol + rtol size(i)), i over y, in the worst
  // part.
  template <class Value, class Size>
  double norm(size_t n, const Value& value, const Size& size) const {
    double worst = 0;
    size_t i = n * width_;
    for (const int64_t part : parts_) {
      double sum = 0;
      for (const size_t end = i + static_cast<size_t>(part); i < end; ++i) {
        const double scaled = value(i) / (options_.atol + options_.rtol * size(i));
        sum += scaled * scaled;
      }
      const double mean = std::sqrt(sum / static_cast<double>(part));
      if (!(mean <= worst)) worst = mean;  // also where it is not a number
    }
    return worst;
  }

  void choose_first_steps() {
    if (options_.first_step > 0) {
      std::fill(step_.begin(), step_.end(), options_.first_step);
      return;
    }
    const auto size = [&](size_t i) { return std::abs(y_[i]); };
    std::vector<double> s = s_, y = y_, first(count_);
    for (size_t n = 0; n < count_; ++n) {
      const double value = norm(
          n, [&](size_t i) { return y_[i]; }, size);
      const double slope = norm(
          n, [&](size_t i) { return k_[0][i]; }, size);
      first[n] = std::min(value < 1e-5 || slope < 1e-5 ? 1e-6 : 0.01 * value / slope, rest(n));
      s[n] += direction_ * first[n];
      for (size_t i = n * width_; i < (n + 1) * width_; ++i)
        y[i] += direction_ * first[n] * k_[0][i];
    }
    evaluate(s, y, k_[1]);
    for (size_t n = 0; n < count_; ++n) {
      const double slope = norm(
          n, [&](size_t i) { return k_[0][i]; }, size);
      const double bend = norm(
                              n, [&](size_t i) { return k_[1][i] - k_[0][i]; }, size) /
                          first[n];
      const double most = std::max(slope, bend);
      const double second =
          most <= 1e-15 ? std::max(1e-6, 1e-3 * first[n]) : std::pow(0.01 / most, 0.2);
      step_[n] = std::min({100 * first[n], second, options_.max_step});
    }
  }

  // One step of every problem on its way, which its error accepts or rejects.
  void step() {
    std::vector<double> length(count_), s(count_), y(y_.size());
    for (size_t n = 0; n < count_; ++n) {
      // No sliver is left for a last step.
      const bool is_last = step_[n] >= rest(n) * (1 - 1e-10);
      length[n] = direction_ * (is_last ? rest(n) : step_[n]);
    }
    for (int stage = 1; stage < kStages; ++stage) {
      for (size_t n = 0; n < count_; ++n) {
        s[n] = kNodes[stage] == 1 && std::abs(length[n]) == rest(n)
                   ? to_
                   : s_[n] + kNodes[stage] * length[n];
        for (size_t i = n * width_; i < (n + 1) * width_; ++i) {
          double slope = 0;
          for (int j = 0; j < stage; ++j) slope += kWeights[stage][j] * k_[j][i];
          y[i] = y_[i] + length[n] * slope;
        }
      }
      evaluate(s, y, k_[stage]);
    }
    for (size_t n = 0; n < count_; ++n)
      if (!has_arrived(n)) judge(n, length[n], s[n], y);
  }

  void judge(size_t n, double length, double s, const std::vector<double>& y) {
    const double error = norm(
        n,
        [&](size_t i) {
          double sum = 0;
          for (int j = 0; j < kStages; ++j) sum += kError[j] * k_[j][i];
          return length * sum;
        },
        [&](size_t i) { return std::max(std::abs(y_[i]), std::abs(y[i])); });
    const bool accepted = error <= 1;  // not of an error that is no number
    const double most = accepted && !is_retry_[n] ? kMostFactor : 1;
    const double wish = error == 0 ? kMostFactor : kSafety * std::pow(error, -0.2);
    const double factor =
        std::isfinite(error) ? std::clamp(wish, kLeastFactor, most) : kLeastFactor;
    step_[n] = std::min(std::abs(length) * factor, options_.max_step);
    is_retry_[n] = !accepted;
    if (!accepted) return;
    s_[n] = s;
    const size_t begin = n * width_, end = begin + width_;
    std::copy(y.data() + begin, y.data() + end, y_.data() + begin);
    std::copy(k_[kStages - 1].data() + begin, k_[kStages - 1].data() + end, k_[0].data() + begin);
  }

  const Derivative& derivative_;
  double to_, direction_;
  const std::vector<int64_t>& parts_;
  const OdeOptions& options_;
  size_t width_, count_;
  std::vector<double> y_, s_, step_;
  std::vector<bool> is_retry_;  // whether the step before was rejected
  std::vector<int64_t> evaluations_;
  std::array<std::vector<double>, kStages> k_;
};

}  // namespace

OdeOptions read_ode(const Config& config, const std::string& prefix) {
  OdeOptions o;
  o.atol =
      config.number(prefix + "atol", o.atol, 0, 1, "absolute tolerance of a step", Exclude::kMin);
  o.rtol = config.number(prefix + "rtol", o.rtol, 0, 1, "the same, relative to the size of x",
                         Exclude::kMin);
  return o;
}

OdeSolution integrate(const Derivative& derivative, double from, double to, std::vector<double> y,
                      const std::vector<int64_t>& parts, const OdeOptions& options) {
  return Integration(derivative, from, to, std::move(y), parts, options).solve();
}

}  // namespace ddpm
