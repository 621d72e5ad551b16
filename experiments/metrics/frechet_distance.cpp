#include "experiments/metrics/frechet_distance.h"

#include "experiments/metrics/feature_matrix.h"
// After the header that quietens it.
#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "framework/core/check.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

constexpr int64_t kRows = 128;  // of a product, that one thread works on

Eigen::Map<const Eigen::VectorXd> vector_of(const std::vector<double>& values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

template <class A>
Matrix product(const A& a, const Matrix& b) {
  Matrix c(a.rows(), b.cols());
  cpu::parallel_ranges(a.rows(), kRows, [&](int64_t begin, int64_t end) {
    c.middleRows(begin, end - begin).noalias() = a.middleRows(begin, end - begin) * b;
  });
  return c;
}

Eigen::SelfAdjointEigenSolver<Matrix> decompose(const Matrix& symmetric, int what) {
  Eigen::SelfAdjointEigenSolver<Matrix> solver(symmetric, what);
  DDPM_CHECK(solver.info() == Eigen::Success, "Frechet distance: the features are not finite");
  return solver;
}

}  // namespace

FrechetReference::FrechetReference(const FeatureStatistics& s)
    : mean_(s.mean), factor_(s.covariance.size()) {
  const ConstMatrix covariance(s.covariance.data(), s.dimension, s.dimension);
  trace_ = covariance.trace();
  Eigen::Map<Matrix> factor(factor_.data(), s.dimension, s.dimension);
  // Cholesky's takes a twentieth of the time, but needs full rank. Where it ends, it is as exact as
  // the other: |S - L L^T| is within rounding of |S|.
  if (const Eigen::LLT<Matrix> cholesky(covariance); cholesky.info() == Eigen::Success) {
    factor = cholesky.matrixL();
    return;
  }
  // Eigenvalues that rounding made negative are zero.
  const auto solver = decompose(covariance, Eigen::ComputeEigenvectors);
  factor = solver.eigenvectors() * solver.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal();
}

double FrechetReference::distance(const FeatureStatistics& other) const {
  const int64_t d = other.dimension;
  DDPM_ASSERT(static_cast<size_t>(d) == mean_.size(), "features of dimensions {} and {}",
              mean_.size(), d);
  const ConstMatrix covariance(other.covariance.data(), d, d), map(factor_.data(), d, d);
  // F^T S2 F has the eigenvalues of S1^1/2 S2 S1^1/2: S1^1/2 is F times a rotation.
  const Matrix factor = map;
  const Matrix overlap = product(Matrix(factor.transpose()), product(covariance, factor));
  const double roots =
      decompose(overlap, Eigen::EigenvaluesOnly).eigenvalues().cwiseMax(0).cwiseSqrt().sum();
  const double means = (vector_of(mean_) - vector_of(other.mean)).squaredNorm();
  return std::max(0.0, means + trace_ + covariance.trace() - 2 * roots);
}

double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  return FrechetReference(a).distance(b);
}

std::vector<int64_t> extrapolation_counts(int64_t count, int64_t dimension) {
  constexpr int64_t kPoints = 10;
  std::vector<int64_t> counts;
  if (count < 4 * dimension) return counts;
  const int64_t first = std::max(count / kPoints, 2 * dimension);
  for (int64_t i = 0; i < kPoints; ++i)
    counts.push_back(first + (count - first) * i / (kPoints - 1));
  return counts;
}

std::optional<double> extrapolate_frechet(const std::vector<FrechetPoint>& points) {
  if (points.size() < 2) return std::nullopt;
  const double n = static_cast<double>(points.size());
  double x = 0, y = 0, xx = 0, xy = 0;
  for (const FrechetPoint& point : points) {
    const double inverse = 1 / static_cast<double>(point.count);
    x += inverse / n;
    y += point.distance / n;
    xx += inverse * inverse / n;
    xy += inverse * point.distance / n;
  }
  return y - x * (xy - x * y) / (xx - x * x);
}

}  // namespace ddpm
