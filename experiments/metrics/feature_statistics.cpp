#include "experiments/metrics/feature_statistics.h"

#include <algorithm>
#include <cmath>

#include "experiments/metrics/feature_matrix.h"
#include "framework/core/check.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

constexpr int64_t kPiece = 256;   // rows merged at a time
constexpr int64_t kColumns = 64;  // of the scatter matrix, that one thread works on

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

FeatureStatistics::FeatureStatistics(const Tensor& features) {
  FeatureAccumulator accumulator(features.shape()[1]);
  accumulator.add(features);
  *this = accumulator.statistics();
}

FeatureAccumulator::FeatureAccumulator(int64_t dimension)
    : dimension_(dimension),
      rows_(index(kPiece * dimension)),
      mean_(index(dimension)),
      scatter_(index(dimension * dimension)) {}

void FeatureAccumulator::add(const Tensor& features) {
  const Rows rows = rows_of(features);
  DDPM_ASSERT(rows.cols() == dimension_, "{} features, expected {}", rows.cols(), dimension_);
  for (int64_t begin = 0; begin < rows.rows();) {
    const int64_t taken = std::min(kPiece - pending_, rows.rows() - begin);
    std::copy_n(rows.data() + begin * dimension_, taken * dimension_,
                rows_.data() + pending_ * dimension_);
    begin += taken;
    pending_ += taken;
    if (pending_ == kPiece) merge();
  }
}

void FeatureAccumulator::merge() {
  const Rows rows(rows_.data(), pending_, dimension_);
  const double n = static_cast<double>(pending_), before = static_cast<double>(merged_);
  // The piece, centred on its own mean, and a row for the distance of that from the mean so far.
  Matrix x(pending_ + 1, dimension_);
  x.topRows(pending_) = rows.cast<double>();
  const Eigen::RowVectorXd centre = x.topRows(pending_).colwise().sum() / n;
  x.topRows(pending_).rowwise() -= centre;
  Eigen::Map<Eigen::RowVectorXd> mean(mean_.data(), dimension_);
  x.row(pending_) = (centre - mean) * std::sqrt(before * n / (before + n));
  mean += (centre - mean) * (n / (before + n));
  Eigen::Map<Matrix> scatter(scatter_.data(), dimension_, dimension_);
  cpu::parallel_ranges(dimension_, kColumns, [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin, below = dimension_ - begin;
    scatter.block(begin, begin, below, width).noalias() +=
        x.rightCols(below).transpose() * x.middleCols(begin, width);
  });
  merged_ += pending_;
  pending_ = 0;
}

FeatureStatistics FeatureAccumulator::statistics() const {
  DDPM_CHECK(count() >= 2, "statistics of features need at least 2 images, not {}", count());
  if (pending_ > 0) {
    FeatureAccumulator whole = *this;
    whole.merge();
    return whole.statistics();
  }
  FeatureStatistics result;
  result.count = merged_;
  result.dimension = dimension_;
  result.mean = mean_;
  result.covariance = scatter_;
  Eigen::Map<Matrix> s(result.covariance.data(), dimension_, dimension_);
  s.triangularView<Eigen::StrictlyUpper>() = s.transpose();
  s /= static_cast<double>(merged_ - 1);
  return result;
}

std::vector<double> FeatureAccumulator::state() const {
  std::vector<double> state = {static_cast<double>(merged_), static_cast<double>(pending_)};
  state.insert(state.end(), mean_.begin(), mean_.end());
  state.insert(state.end(), scatter_.begin(), scatter_.end());
  state.insert(state.end(), rows_.begin(), rows_.begin() + pending_ * dimension_);
  return state;
}

void FeatureAccumulator::restore(std::span<const double> state) {
  DDPM_CHECK(state.size() >= 2 && state[0] >= 0 && state[1] >= 0 && state[1] < kPiece,
             "not the state of statistics of features");
  merged_ = static_cast<int64_t>(state[0]);
  pending_ = static_cast<int64_t>(state[1]);
  DDPM_CHECK(state.size() == 2 + mean_.size() + scatter_.size() + index(pending_ * dimension_),
             "not the state of statistics of {} features", dimension_);
  const double* from = state.data() + 2;
  std::copy_n(from, mean_.size(), mean_.begin());
  std::copy_n(from += mean_.size(), scatter_.size(), scatter_.begin());
  std::transform(from += scatter_.size(), state.data() + state.size(), rows_.begin(),
                 [](double x) { return static_cast<float>(x); });
}

}  // namespace ddpm
