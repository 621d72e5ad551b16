#include "experiments/metrics/kernel_distance.h"

#include <algorithm>
#include <cmath>

#include "experiments/metrics/feature_matrix.h"
#include "framework/core/check.h"
#include "framework/cpu/parallel.h"
#include "framework/random/permutation.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

// Rows at fixed random places: row i of subset `subset` is the image of i under a permutation.
Matrix draw_rows(const Rows& rows, int64_t count, uint64_t seed, const char* site, int64_t subset) {
  const Permutation permutation(seed, random_site(site), static_cast<uint32_t>(subset),
                                static_cast<uint32_t>(rows.rows()));
  Matrix drawn(count, rows.cols());
  for (int64_t i = 0; i < count; ++i)
    drawn.row(i) = rows.row(permutation(static_cast<uint32_t>(i))).cast<double>();
  return drawn;
}

Matrix kernel(const Matrix& x, const Matrix& y) {
  Matrix k = x * y.transpose();
  k = (k.array() / static_cast<double>(x.cols()) + 1).cube().matrix();
  return k;
}

double squared_mmd(const Matrix& x, const Matrix& y) {
  const double n = static_cast<double>(x.rows());
  // Without the diagonal: a point is no independent draw from itself.
  const auto within = [n](const Matrix& z) {
    const Matrix k = kernel(z, z);
    return (k.sum() - k.trace()) / (n * (n - 1));
  };
  return within(x) + within(y) - 2 * kernel(x, y).sum() / (n * n);
}

}  // namespace

KernelDistance kernel_distance(const Tensor& x, const Tensor& y,
                               const KernelDistanceOptions& options) {
  const Rows x_rows = rows_of(x), y_rows = rows_of(y);
  KernelDistance result;
  result.subset_size = std::min({options.subset_size, x_rows.rows(), y_rows.rows()});
  DDPM_CHECK(result.subset_size >= 2 && options.subsets >= 1,
             "kernel distance: {} subsets of {} images; at least 1 of 2 needed", options.subsets,
             result.subset_size);
  // Eigen aligns its own memory: it adds up a vector at any other address in an order that depends
  // on the address.
  Eigen::ArrayXd values(options.subsets);
  cpu::parallel_for(options.subsets, [&](int64_t i) {
    const auto draw = [&](const Rows& rows, const char* site) {
      return draw_rows(rows, result.subset_size, options.seed, site, i);
    };
    values(i) = squared_mmd(draw(x_rows, "kernel_distance/x"), draw(y_rows, "kernel_distance/y"));
  });
  result.mean = values.mean();
  result.std = std::sqrt((values - result.mean).square().mean());
  return result;
}

}  // namespace ddpm
