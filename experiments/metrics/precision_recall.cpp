#include "experiments/metrics/precision_recall.h"

#include <algorithm>
#include <vector>

#include "experiments/metrics/feature_matrix.h"
#include "framework/core/check.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

constexpr int64_t kRows = 128, kColumns = 512;  // of distances at a time

// visit(row, column, squared distance) for rows `begin` to `end` of x and all columns y.
template <class Visit>
void for_distances(const Rows& x, const Rows& y, int64_t begin, int64_t end, const Visit& visit) {
  const Matrix xs = x.middleRows(begin, end - begin).cast<double>();
  const Eigen::VectorXd x_norms = xs.rowwise().squaredNorm();
  for (int64_t first = 0; first < y.rows(); first += kColumns) {
    const Matrix ys = y.middleRows(first, std::min(kColumns, y.rows() - first)).cast<double>();
    const Eigen::VectorXd y_norms = ys.rowwise().squaredNorm();
    const Matrix products = xs * ys.transpose();
    for (int64_t i = 0; i < products.rows(); ++i)
      for (int64_t j = 0; j < products.cols(); ++j)
        visit(begin + i, first + j, x_norms(i) + y_norms(j) - 2 * products(i, j));
  }
}

// The squared distance of every point to its k-th nearest other.
std::vector<double> radii(const Rows& x, int64_t k) {
  std::vector<double> result(static_cast<size_t>(x.rows()));
  cpu::parallel_ranges(x.rows(), kRows, [&](int64_t begin, int64_t end) {
    // The k smallest so far, the largest of them on top.
    std::vector<std::vector<double>> nearest(static_cast<size_t>(end - begin));
    for_distances(x, x, begin, end, [&](int64_t i, int64_t j, double distance) {
      if (i == j) return;
      std::vector<double>& heap = nearest[static_cast<size_t>(i - begin)];
      if (static_cast<int64_t>(heap.size()) == k) {
        if (distance >= heap.front()) return;
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back(distance);
      std::push_heap(heap.begin(), heap.end());
    });
    for (int64_t i = begin; i < end; ++i)
      result[static_cast<size_t>(i)] = nearest[static_cast<size_t>(i - begin)].front();
  });
  return result;
}

// The fraction of the points x within a ball around a point of y.
double covered(const Rows& x, const Rows& y, const std::vector<double>& y_radii) {
  std::vector<uint8_t> is_inside(static_cast<size_t>(x.rows()));
  cpu::parallel_ranges(x.rows(), kRows, [&](int64_t begin, int64_t end) {
    for_distances(x, y, begin, end, [&](int64_t i, int64_t j, double distance) {
      if (distance <= y_radii[static_cast<size_t>(j)]) is_inside[static_cast<size_t>(i)] = 1;
    });
  });
  const auto inside = std::count(is_inside.begin(), is_inside.end(), 1);
  return static_cast<double>(inside) / static_cast<double>(x.rows());
}

}  // namespace

PrecisionRecall precision_recall(const Tensor& samples, const Tensor& reference, int64_t k) {
  const Rows x = rows_of(samples), y = rows_of(reference);
  DDPM_CHECK(k >= 1 && x.rows() > k && y.rows() > k,
             "precision and recall reach to the neighbour of rank {}: {} samples and {} reference "
             "images, at least {} of each needed",
             k, x.rows(), y.rows(), k + 1);
  return {.precision = covered(x, y, radii(y, k)), .recall = covered(y, x, radii(x, k))};
}

}  // namespace ddpm
