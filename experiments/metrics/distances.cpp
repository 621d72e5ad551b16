#include "experiments/metrics/distances.h"

// GCC 12 takes the undefined inputs of AVX-512 intrinsics in Eigen for uninitialised variables (GCC
// bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "experiments/runner/sampling.h"
#include "framework/cpu/parallel.h"
#include "framework/random/permutation.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Rows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using ConstMatrix = Eigen::Map<const Matrix>;

Rows rows_of(const Tensor& features) {
  DDPM_ASSERT(features.shape().rank() == 2 && features.device() == Device::kCpu,
              "features {} on {}", features.shape(), name_of(features.device()));
  return Rows(features.data<float>(), features.shape()[0], features.shape()[1]);
}

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

FeatureStatistics::FeatureStatistics(const Tensor& features)
    : count(features.shape()[0]),
      dimension(features.shape()[1]),
      mean(static_cast<size_t>(dimension)),
      covariance(static_cast<size_t>(dimension * dimension)) {
  DDPM_CHECK(count >= 2, "statistics of features need at least 2 images, not {}", count);
  const Rows rows = rows_of(features);
  constexpr int64_t kPiece = 256;  // rows in double at a time
  const auto for_pieces = [&](const auto& add) {
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      const Matrix piece = rows.middleRows(begin, std::min(kPiece, count - begin)).cast<double>();
      add(piece);
    }
  };
  Eigen::Map<Eigen::RowVectorXd> m(mean.data(), dimension);
  Eigen::Map<Matrix> s(covariance.data(), dimension, dimension);
  m.setZero();
  s.setZero();
  for_pieces([&](const Matrix& piece) { m += piece.colwise().sum(); });
  m /= static_cast<double>(count);
  for_pieces([&](const Matrix& piece) {
    const Matrix centred = piece.rowwise() - m;
    s.noalias() += centred.transpose() * centred;
  });
  s /= static_cast<double>(count - 1);
}

double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  const int64_t d = a.dimension;
  DDPM_ASSERT(b.dimension == d, "features of dimensions {} and {}", d, b.dimension);
  const ConstMatrix s1(a.covariance.data(), d, d), s2(b.covariance.data(), d, d);
  const Eigen::Map<const Eigen::VectorXd> m1(a.mean.data(), d), m2(b.mean.data(), d);
  const Eigen::SelfAdjointEigenSolver<Matrix> first{Matrix(s1)};
  const Matrix root = first.eigenvectors() *
                      first.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal() *
                      first.eigenvectors().transpose();
  const Matrix product = root * s2 * root;
  // Eigenvalues that rounding made negative are zero.
  const Eigen::SelfAdjointEigenSolver<Matrix> second(product, Eigen::EigenvaluesOnly);
  DDPM_CHECK(first.info() == Eigen::Success && second.info() == Eigen::Success,
             "Frechet distance: the features are not finite");
  const double overlap = second.eigenvalues().cwiseMax(0).cwiseSqrt().sum();
  return std::max(0.0, (m1 - m2).squaredNorm() + s1.trace() + s2.trace() - 2 * overlap);
}

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

FeatureDistances::FeatureDistances(const FeatureExtractor& extractor, const Dataset& dataset,
                                   Reference reference)
    : extractor_(extractor),
      reference_name_(reference == Reference::kTrain ? "train" : "test"),
      reference_([&] {
        extractor.check_dataset(dataset);
        const Split& split = reference == Reference::kTrain ? dataset.train : dataset.test;
        DDPM_CHECK(split.count >= 2, "data '{}': its {} split has {} images, distances need 2",
                   dataset.name, reference_name_, split.count);
        return extractor.features(split);
      }()),
      statistics_(reference_) {}

FeatureDistances::Result FeatureDistances::measure(const std::vector<float>& samples) const {
  const int64_t image = extractor_.image_shape().numel();
  const int levels = extractor_.info().levels;
  Split split;
  split.count = static_cast<int64_t>(samples.size()) / image;
  DDPM_ASSERT(split.count * image == static_cast<int64_t>(samples.size()),
              "{} values are no whole number of images {}", samples.size(),
              extractor_.image_shape());
  DDPM_CHECK(split.count >= 2, "distances need at least 2 samples, not {}", split.count);
  if (levels > 0)
    split.pixels = quantise(samples, levels);
  else
    split.values = samples;
  const Tensor features = extractor_.features(split);
  return {.extractor = extractor_.name(),
          .weights_sha256 = extractor_.weights_sha256(),
          .reference = reference_name_,
          .reference_count = statistics_.count,
          .sample_count = split.count,
          .frechet = frechet_distance(FeatureStatistics(features), statistics_),
          .kernel = kernel_distance(features, reference_)};
}

}  // namespace ddpm
